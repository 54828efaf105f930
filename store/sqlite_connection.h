// One connection to one SQLite file: settings, statements, error codes.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/value.h"

namespace promptd::store {

// Errors are those of store/database.h. Thread-compatible.
class SqliteConnection {
 public:
  struct Result {
    std::vector<Row> rows;
    int64_t changed = 0;
  };

  // Opens or makes `path`, which is locked against other processes while it is
  // open. Pages of it take at most `max_cache_bytes` of memory, a KiB or more.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(
      const std::string& path, int64_t max_cache_bytes);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  absl::Status Begin(bool write);
  absl::Status Commit();
  // Safe to call when the engine has rolled back by itself.
  void Rollback();

  // One statement, prepared once and kept; `read_only` refuses one that
  // writes.
  absl::StatusOr<Result> Run(absl::string_view sql,
                             const std::vector<Value>& values,
                             bool read_only = false);
  // Several statements without values, not kept.
  absl::Status Script(const std::string& sql);

  int64_t LastInsertId() const;

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  using StatementPtr = std::unique_ptr<sqlite3_stmt, Finalizer>;

  SqliteConnection() = default;
  absl::Status Configure(int64_t max_cache_bytes);
  absl::StatusOr<sqlite3_stmt*> Prepare(absl::string_view sql);
  absl::Status Bind(sqlite3_stmt* statement, const std::vector<Value>& values);
  absl::StatusOr<Result> Step(sqlite3_stmt* statement);
  absl::Status Error(int code, absl::string_view what) const;

  std::string path_;
  sqlite3* db_ = nullptr;
  std::map<std::string, StatementPtr> statements_;
};

}  // namespace promptd::store
