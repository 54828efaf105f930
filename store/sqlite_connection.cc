#include "store/sqlite_connection.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "store/failing_vfs.h"

namespace promptd::store {
namespace {

constexpr size_t kMaxStatements = 256;
constexpr int kBusyTimeoutMs = 5000;

// WAL with synchronous=FULL: a commit that returned survives a power cut.
// Exclusive locking keeps other processes (a shell, a copy of promptd) from
// checkpointing while this one commits, which SQLite before 3.51.3 does not
// survive safely. What commits wrote is carried into the database file every 16
// MiB (pages of 4 KiB): the commit that does it takes some milliseconds, and a
// transaction of a job writes ten pages or so.
constexpr char kSettings[] =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA wal_autocheckpoint=4000;"
    "PRAGMA foreign_keys=ON;"
    "PRAGMA mmap_size=0;"
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA journal_size_limit=67108864;";

bool IsDiskFull(int code, int system_error) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  return (code & 0xff) == SQLITE_IOERR &&
         (system_error == ENOSPC || system_error == EDQUOT ||
          system_error == EFBIG);
}

// What the system said to the last operation that failed. Of a COMMIT SQLite
// does not pass it on: the log's file knows.
int SystemError(sqlite3* db) {
  const int error = sqlite3_system_errno(db);
  if (error != 0) return error;
  sqlite3_file* log = nullptr;
  int logged = 0;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) ==
          SQLITE_OK &&
      log != nullptr && log->pMethods != nullptr) {
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &logged);
  }
  return logged;
}

Value ColumnValue(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
      return Value();
    case SQLITE_INTEGER:
      return Value(int64_t{sqlite3_column_int64(statement, column)});
    case SQLITE_FLOAT:
      return Value(sqlite3_column_double(statement, column));
    default: {
      const void* const bytes = sqlite3_column_blob(statement, column);
      const int size = sqlite3_column_bytes(statement, column);
      return Value(std::string(static_cast<const char*>(bytes),
                               static_cast<size_t>(size)));
    }
  }
}

// Binds a value; lives as long as the statement's step.
struct Binder {
  sqlite3_stmt* statement;
  int index;
  int operator()(std::monostate) const {
    return sqlite3_bind_null(statement, index);
  }
  int operator()(int64_t value) const {
    return sqlite3_bind_int64(statement, index, value);
  }
  int operator()(double value) const {
    return sqlite3_bind_double(statement, index, value);
  }
  int operator()(const std::string& value) const {
    return sqlite3_bind_text64(statement, index, value.data(), value.size(),
                               SQLITE_STATIC, SQLITE_UTF8);
  }
};

}  // namespace

void SqliteConnection::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(
    const std::string& path, int64_t max_cache_bytes) {
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection);
  connection->path_ = path;
  const int code =
      sqlite3_open_v2(path.c_str(), &connection->db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                          SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                      FailingVfs());
  if (code != SQLITE_OK) return connection->Error(code, "open");
  RETURN_IF_ERROR(connection->Configure(max_cache_bytes));
  return connection;
}

SqliteConnection::~SqliteConnection() {
  statements_.clear();
  sqlite3_close(db_);
}

absl::Status SqliteConnection::Configure(int64_t max_cache_bytes) {
  sqlite3_busy_timeout(db_, kBusyTimeoutMs);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  // A negative size is one in KiB.
  RETURN_IF_ERROR(Script(absl::StrCat(
      kSettings, "PRAGMA cache_size=", -(max_cache_bytes >> 10), ";")));
  ASSIGN_OR_RETURN(const Result mode, Run("PRAGMA journal_mode", {}));
  if (mode.rows.empty() || mode.rows[0].Text(0) != "wal") {
    return MakeError(absl::StatusCode::kUnavailable, "DATABASE_IO",
                     absl::StrCat(path_,
                                  " does not support a write-ahead "
                                  "log: move the data directory to a "
                                  "local disk"));
  }
  return absl::OkStatus();
}

absl::Status SqliteConnection::Begin(bool write) {
  return Run(write ? "BEGIN IMMEDIATE" : "BEGIN", {}).status();
}

absl::Status SqliteConnection::Commit() { return Run("COMMIT", {}).status(); }

void SqliteConnection::Rollback() {
  // Errors such as a full disk may have ended the transaction already.
  if (sqlite3_get_autocommit(db_) != 0) return;
  sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

absl::StatusOr<SqliteConnection::Result> SqliteConnection::Run(
    absl::string_view sql, const std::vector<Value>& values, bool read_only) {
  ASSIGN_OR_RETURN(sqlite3_stmt* const statement, Prepare(sql));
  if (read_only && sqlite3_stmt_readonly(statement) == 0) {
    return MakeError(absl::StatusCode::kInternal, "DATABASE_ERROR",
                     absl::StrCat("a read transaction may not run: ", sql));
  }
  RETURN_IF_ERROR(Bind(statement, values));
  absl::StatusOr<Result> result = Step(statement);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return result;
}

absl::Status SqliteConnection::Script(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code, "set up");
}

int64_t SqliteConnection::LastInsertId() const {
  return sqlite3_last_insert_rowid(db_);
}

absl::StatusOr<sqlite3_stmt*> SqliteConnection::Prepare(absl::string_view sql) {
  const std::string key(sql);
  const auto found = statements_.find(key);
  if (found != statements_.end()) return found->second.get();
  if (statements_.size() >= kMaxStatements) statements_.clear();
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int code =
      sqlite3_prepare_v3(db_, key.c_str(), static_cast<int>(key.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, &tail);
  StatementPtr owned(statement);
  if (code != SQLITE_OK) return Error(code, sql);
  if (statement == nullptr || *tail != '\0') {
    return MakeError(absl::StatusCode::kInternal, "DATABASE_ERROR",
                     absl::StrCat("not one statement: ", sql));
  }
  statements_[key] = std::move(owned);
  return statement;
}

absl::Status SqliteConnection::Bind(sqlite3_stmt* statement,
                                    const std::vector<Value>& values) {
  const int expected = sqlite3_bind_parameter_count(statement);
  if (expected != static_cast<int>(values.size())) {
    return MakeError(absl::StatusCode::kInternal, "DATABASE_ERROR",
                     absl::StrCat("statement takes ", expected, " values, got ",
                                  values.size(), ": ", sqlite3_sql(statement)));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const int code = std::visit(Binder{statement, static_cast<int>(i) + 1},
                                values[i].variant());
    if (code != SQLITE_OK) return Error(code, sqlite3_sql(statement));
  }
  return absl::OkStatus();
}

absl::StatusOr<SqliteConnection::Result> SqliteConnection::Step(
    sqlite3_stmt* statement) {
  Result result;
  const int columns = sqlite3_column_count(statement);
  int code = sqlite3_step(statement);
  for (; code == SQLITE_ROW; code = sqlite3_step(statement)) {
    std::vector<Value> values;
    values.reserve(static_cast<size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      values.push_back(ColumnValue(statement, i));
    }
    result.rows.emplace_back(std::move(values));
  }
  if (code != SQLITE_DONE) return Error(code, sqlite3_sql(statement));
  result.changed = sqlite3_changes64(db_);
  return result;
}

absl::Status SqliteConnection::Error(int code, absl::string_view what) const {
  const std::string detail =
      absl::StrCat(path_, ": ", db_ ? sqlite3_errmsg(db_) : "out of memory",
                   " (SQLite ", code, ") in: ", what);
  if (IsDiskFull(code, db_ ? SystemError(db_) : 0)) {
    return MakeError(absl::StatusCode::kResourceExhausted, "DISK_FULL",
                     absl::StrCat("no space left for the database ", path_,
                                  ": free some disk space and try again"));
  }
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MakeError(absl::StatusCode::kDataLoss, "DATABASE_CORRUPT",
                       absl::StrCat(detail, ": restore a backup"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MakeError(absl::StatusCode::kUnavailable, "DATABASE_BUSY",
                       absl::StrCat(detail, ": another program holds it"));
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE ||
          code == SQLITE_CONSTRAINT_PRIMARYKEY) {
        return MakeError(absl::StatusCode::kAlreadyExists, "ROW_EXISTS",
                         detail);
      }
      return MakeError(absl::StatusCode::kInternal, "DATABASE_CONSTRAINT",
                       detail);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_NOMEM:
      return MakeError(absl::StatusCode::kUnavailable, "DATABASE_IO", detail);
    default:
      return MakeError(absl::StatusCode::kInternal, "DATABASE_ERROR", detail);
  }
}

}  // namespace promptd::store
