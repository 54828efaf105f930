// Context vectors and the words near them, as text.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "client/session.h"
#include "promptd/v1/prompt.pb.h"

namespace promptd::client {

// A token of the vocabulary for people: "photo" of "photo</w>", "pho-" of the
// piece "pho", markers such as "<start_of_text>" as they are.
std::string ReadableToken(absl::string_view token);

// One line a vector; the class has a column when vectors have classes.
std::string InterpretationTable(const v1::InterpretVersionResponse& reply);

}  // namespace promptd::client
