// Removes an encoder's folder: from one moment to the next it is gone.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace promptd::weights {

// Renames the folder aside, so that nobody can load half of it, then deletes
// it. After OK nothing of it is left, also after a power cut; a run that is
// killed in between leaves a folder that nobody loads, for RemoveLeftovers.
// UNAVAILABLE (FILE_WRITE_FAILED) and the folder is as it was, unless the
// message says otherwise.
absl::Status RemoveEncoderFolder(const std::string& path);

// Deletes what killed removals left in `encoders`, the folder of the encoders'
// folders; as far as it may.
void RemoveLeftovers(const std::string& encoders);

}  // namespace promptd::weights
