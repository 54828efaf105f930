#include "store/sqlite_database.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "store/data_dir.h"
#include "store/migrations.h"
#include "store/sqlite_connection.h"

namespace promptd::store {
namespace {

class SqliteTransaction : public Transaction {
 public:
  SqliteTransaction(SqliteConnection* connection, bool read_only)
      : connection_(connection), read_only_(read_only) {}

  absl::StatusOr<std::vector<Row>> Query(
      absl::string_view sql, const std::vector<Value>& values) override {
    ASSIGN_OR_RETURN(SqliteConnection::Result result,
                     connection_->Run(sql, values, read_only_));
    return std::move(result.rows);
  }

  absl::StatusOr<int64_t> Execute(absl::string_view sql,
                                  const std::vector<Value>& values) override {
    ASSIGN_OR_RETURN(const SqliteConnection::Result result,
                     connection_->Run(sql, values, read_only_));
    return result.changed;
  }

  int64_t LastInsertId() const override { return connection_->LastInsertId(); }

  void AfterCommit(std::function<void()> action) override {
    actions_.push_back(std::move(action));
  }

  std::vector<std::function<void()>> TakeActions() {
    return std::move(actions_);
  }

 private:
  SqliteConnection* const connection_;
  const bool read_only_;
  std::vector<std::function<void()>> actions_;
};

class SqliteDatabase : public Database {
 public:
  SqliteDatabase(std::unique_ptr<DataDirLock> lock,
                 std::unique_ptr<SqliteConnection> connection)
      : lock_(std::move(lock)), connection_(std::move(connection)) {}

  absl::Status Write(const Body& body) override { return Run(body, true); }
  absl::Status Read(const Body& body) override { return Run(body, false); }

 private:
  absl::Status Run(const Body& body, bool write) {
    std::vector<std::function<void()>> actions;
    {
      absl::MutexLock lock(&mutex_);
      RETURN_IF_ERROR(connection_->Begin(write));
      SqliteTransaction transaction(connection_.get(), !write);
      absl::Status status = body(transaction);
      if (status.ok()) status = Commit(write);
      if (!status.ok()) {
        connection_->Rollback();
        return status;
      }
      actions = transaction.TakeActions();
    }
    for (const std::function<void()>& action : actions) action();
    return absl::OkStatus();
  }

  absl::Status Commit(bool write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (write) FailpointStep("db.commit");
    RETURN_IF_ERROR(connection_->Commit());
    if (write) FailpointStep("db.committed");
    return absl::OkStatus();
  }

  // Declared first: released after the file is closed.
  const std::unique_ptr<DataDirLock> lock_;
  absl::Mutex mutex_;
  const std::unique_ptr<SqliteConnection> connection_
      ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenSqlite(
    const SqliteOptions& options, const Clock* clock) {
  ASSIGN_OR_RETURN(std::unique_ptr<DataDirLock> lock,
                   DataDirLock::Acquire(options.data_dir));
  if (!options.allow_network_file_system) {
    RETURN_IF_ERROR(CheckLocalFileSystem(options.data_dir));
  }
  ASSIGN_OR_RETURN(
      std::unique_ptr<SqliteConnection> connection,
      SqliteConnection::Open(absl::StrCat(options.data_dir, "/promptd.db"),
                             options.max_cache_bytes));
  RETURN_IF_ERROR(Migrate(*connection, EmbeddedMigrations(), clock->Now()));
  return std::make_unique<SqliteDatabase>(std::move(lock),
                                          std::move(connection));
}

}  // namespace promptd::store
