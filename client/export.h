// A version's files on this machine.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/session.h"

namespace promptd::client {

// Writes context.safetensors and manifest.json into `folder`, each complete or
// absent, creating the folder where needed. ALREADY_EXISTS (FILE_EXISTS)
// when one of them is there and `force` is not set: then nothing is written.
// DATA_LOSS (EXPORT_CORRUPT) when the context is not what the version's record
// says.
absl::Status ExportVersion(Session& session, const std::string& task,
                           int64_t version, const std::string& folder,
                           bool force);

}  // namespace promptd::client
