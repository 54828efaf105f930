// Versions as tar archives on this machine.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/selector.h"
#include "client/session.h"

namespace promptd::client {

// Whether the file begins as an archive that a version was exported to; false
// when it cannot be read.
bool IsVersionArchive(const std::string& path);

// Writes the archive, complete or absent. ALREADY_EXISTS (FILE_EXISTS) unless
// `force`; else errors of the server and of WriteFileAtomically.
absl::Status ExportVersionArchive(Session& session,
                                  const TaskSelector& selector,
                                  const std::string& path, bool force);

// Sends the archive; an empty task is the archive's own.
absl::Status ImportVersionArchive(Session& session, const std::string& path,
                                  const std::string& task);

}  // namespace promptd::client
