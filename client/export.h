// A version's files on this machine.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "client/session.h"

namespace promptd::client {

enum class ExportFormat {
  kSafetensors,  // context.safetensors, the bytes that the server keeps
  kNpz,          // context.npz
  kCoop,         // prompt_learner/model.pth.tar-EPOCHS
};

struct ExportOptions {
  std::string task;
  int64_t version = 0;
  std::string folder;
  ExportFormat format = ExportFormat::kSafetensors;
  bool force = false;  // overwrite
};

// Writes the context and manifest.json into the folder, each complete or
// absent, creating the folder where needed; of a version that has no context
// head.safetensors and, where something else was learned,
// parameters.safetensors. FAILED_PRECONDITION (NO_CONTEXT) when such a version
// is asked for in another format. ALREADY_EXISTS (FILE_EXISTS)
// when one of them is there and `force` is not set: then nothing is written.
// DATA_LOSS (EXPORT_CORRUPT) when the context is not what the version's record
// says.
absl::Status ExportVersion(Session& session, const ExportOptions& options);

}  // namespace promptd::client
