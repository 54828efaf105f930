// The default database: one SQLite file in the data directory, one process,
// one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "store/database.h"

namespace promptd::store {

inline constexpr int64_t kDefaultCacheBytes = int64_t{64} << 20;

struct SqliteOptions {
  std::string data_dir;  // made when missing; the file is promptd.db in it
  // Opens on NFS, SMB or FUSE too, where file locks may not hold.
  bool allow_network_file_system = false;
  int64_t max_cache_bytes = kDefaultCacheBytes;  // memory, of the file's pages
};

// Takes the data directory's lock for the life of the result, opens the file
// (WAL, synchronous=FULL, foreign keys, no mmap), and applies the migrations
// that it lacks, each in one transaction.
// FAILED_PRECONDITION (DATA_DIR_IN_USE) names the process that holds the lock;
// FAILED_PRECONDITION (SCHEMA_TOO_NEW, NETWORK_FILE_SYSTEM); DATA_LOSS
// (DATABASE_CORRUPT); RESOURCE_EXHAUSTED (DISK_FULL); UNAVAILABLE
// (DATA_DIR_UNUSABLE, DATABASE_IO).
absl::StatusOr<std::unique_ptr<Database>> OpenSqlite(
    const SqliteOptions& options, const Clock* clock);

}  // namespace promptd::store
