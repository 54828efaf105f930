// The data directory: one process at a time, on a disk of this machine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace promptd::store {

// An flock'ed file in the directory, with the holder's process id in it. The
// kernel drops the lock when the process ends, however it ends.
class DataDirLock {
 public:
  // Makes the directory when missing. FAILED_PRECONDITION (DATA_DIR_IN_USE)
  // names the holder; UNAVAILABLE (DATA_DIR_UNUSABLE).
  static absl::StatusOr<std::unique_ptr<DataDirLock>> Acquire(
      const std::string& data_dir);
  ~DataDirLock();
  DataDirLock(const DataDirLock&) = delete;
  DataDirLock& operator=(const DataDirLock&) = delete;

 private:
  explicit DataDirLock(int fd) : fd_(fd) {}
  const int fd_;
};

// Whether statfs's f_type stands for NFS, SMB or FUSE, whose locks and syncs
// promise less than SQLite needs.
bool IsNetworkFileSystem(int64_t type);

// FAILED_PRECONDITION (NETWORK_FILE_SYSTEM); UNAVAILABLE (DATA_DIR_UNUSABLE).
absl::Status CheckLocalFileSystem(const std::string& data_dir);

}  // namespace promptd::store
