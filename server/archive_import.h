// A version from an archive, checked against this server and stored.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/records.h"
#include "server/backend.h"

namespace promptd::server {

// Of an archive: the largest context and head, and the rest.
inline constexpr int64_t kMaxArchiveBytes = int64_t{128} << 20;

struct ImportedVersion {
  registry::PromptVersion version;
  bool existed = false;  // the task had it already; nothing changed
};

// An empty `task` is the archive's own. The version gets a job that ends at
// once, and so does every further evaluation. Errors: promptd/v1/archive.proto.
absl::StatusOr<ImportedVersion> ImportArchive(const Backend& backend,
                                              const std::string& tenant,
                                              const std::string& task,
                                              absl::string_view tar);

// The archive of a version. Errors: promptd/v1/archive.proto.
absl::StatusOr<std::string> ExportArchive(const Backend& backend,
                                          const std::string& tenant,
                                          const std::string& task,
                                          int64_t version);

}  // namespace promptd::server
