// Removes an imported encoder from promptd's data folder on this machine.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/api.h"

namespace promptd::client {

struct EncoderRemoval {
  std::string name;
  std::string data_dir;  // promptd's; empty: its default
  bool force = false;    // also when tasks use it or cannot be asked for
};

struct RemovalReport {
  std::string folder;
  std::string digest;              // empty when its files cannot be read
  std::vector<std::string> tasks;  // that used it
  absl::Status tasks_checked;      // why it is not known which tasks did
};

// Removes <data_dir>/encoders/<name>, completely or not at all, and what a
// killed removal left there. The promptd that `api` reaches is asked for tasks
// on the encoder first. INVALID_ARGUMENT (BAD_ENCODER_NAME, NO_DATA_DIR);
// NOT_FOUND (ENCODER_NOT_FOUND) lists those there are; FAILED_PRECONDITION
// (ENCODER_NOT_REMOVABLE: the embedded one; ENCODER_IN_USE names the tasks;
// TASKS_NOT_CHECKED), the last two not with `force`; UNAVAILABLE
// (FILE_WRITE_FAILED).
absl::StatusOr<RemovalReport> RemoveEncoder(Api& api,
                                            const EncoderRemoval& removal);

}  // namespace promptd::client
