#include "store/failing_vfs.h"

#include <sqlite3.h>

#include <cerrno>
#include <map>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "common/failpoint.h"

namespace promptd::store {
namespace {

constexpr char kName[] = "promptd-failpoints";

// The methods of a file of SQLite's own, two of them ours. Files keep their
// size and all else: only the table of their methods is another one.
struct Methods {
  sqlite3_io_methods ours;  // first: what a file points to
  const sqlite3_io_methods* own;
};

const sqlite3_io_methods* OwnMethods(sqlite3_file* file) {
  return reinterpret_cast<const Methods*>(file->pMethods)->own;
}

int Write(sqlite3_file* file, const void* bytes, int count,
          sqlite3_int64 offset) {
  const sqlite3_io_methods* const own = OwnMethods(file);
  const int error = FailpointError("db.write");
  if (error == 0) return own->xWrite(file, bytes, count, offset);
  own->xWrite(file, bytes, count / 2, offset);
  return error == ENOSPC || error == EDQUOT ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

int Sync(sqlite3_file* file, int flags) {
  const int error = FailpointError("db.sync");
  if (error != 0) return SQLITE_IOERR_FSYNC;
  return OwnMethods(file)->xSync(file, flags);
}

// For ever, as SQLite's own tables are.
const sqlite3_io_methods* FailingMethods(const sqlite3_io_methods* own) {
  static absl::Mutex mutex(absl::kConstInit);
  static auto* const tables =
      new std::map<const sqlite3_io_methods*, std::unique_ptr<Methods>>;
  absl::MutexLock lock(&mutex);
  std::unique_ptr<Methods>& table = (*tables)[own];
  if (table == nullptr) {
    table = std::make_unique<Methods>(Methods{*own, own});
    table->ours.xWrite = Write;
    table->ours.xSync = Sync;
  }
  return &table->ours;
}

int Open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags,
         int* flags_out) {
  auto* const own = static_cast<sqlite3_vfs*>(vfs->pAppData);
  const int code = own->xOpen(own, name, file, flags, flags_out);
  if (file->pMethods != nullptr)
    file->pMethods = FailingMethods(file->pMethods);
  return code;
}

// SQLite's own, but for how files are opened.
bool Register() {
  sqlite3_vfs* const own = sqlite3_vfs_find(nullptr);
  if (own == nullptr) return false;
  auto* const ours = new sqlite3_vfs(*own);
  ours->zName = kName;
  ours->pNext = nullptr;
  ours->pAppData = own;
  ours->xOpen = Open;
  return sqlite3_vfs_register(ours, /*makeDflt=*/0) == SQLITE_OK;
}

}  // namespace

const char* FailingVfs() {
  if (!FailpointsArmed()) return nullptr;
  static const bool registered = Register();
  return registered ? kName : nullptr;
}

}  // namespace promptd::store
