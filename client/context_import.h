// Contexts out of files, sent to the server.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/session.h"

namespace promptd::client {

// The file that `path` means: itself or, of a folder, the one context below it.
// With `epoch` only checkpoints of that number (model.pth.tar-N) count.
// NOT_FOUND (CONTEXT_NOT_FOUND); INVALID_ARGUMENT (SEVERAL_CONTEXTS) lists
// them.
absl::StatusOr<std::string> FindContextFile(const std::string& path,
                                            std::optional<int> epoch);

// Reads a context without running any of what is in its file, tells what was
// found, uploads it and returns its digest. Errors: FindContextFile's, those
// of weights/context_file.h, the server's.
absl::StatusOr<std::string> SendContextFile(Session& session,
                                            const std::string& path,
                                            std::optional<int> epoch);

}  // namespace promptd::client
