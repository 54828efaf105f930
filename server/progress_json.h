// A job's progress in the form in which it is stored.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/control.h"

namespace promptd::server {

std::string ProgressToJson(const worker::Progress& progress);

// INTERNAL (BAD_STORED_PROGRESS) when the JSON is not one that we wrote.
absl::StatusOr<worker::Progress> ProgressFromJson(absl::string_view json);

}  // namespace promptd::server
