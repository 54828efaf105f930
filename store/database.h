// The relational store: transactions, prepared statements, migrations.
//
//   RETURN_IF_ERROR(db->Write([&](Transaction& tx) -> absl::Status {
//     ASSIGN_OR_RETURN(const std::vector<Row> rows,
//                      tx.Query("SELECT state FROM job WHERE id=?", {id}));
//     ...
//   }));
//
// SQL uses `?` placeholders and the subset that SQLite and PostgreSQL share,
// times are milliseconds since 1970 in integers. Whatever opens another kind of
// database later implements these two classes and passes the same tests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "store/value.h"

namespace promptd::store {

// Statements between BEGIN and COMMIT. Valid only inside the function that
// received it. Thread-compatible.
//
// Errors of both: RESOURCE_EXHAUSTED (DISK_FULL); DATA_LOSS
// (DATABASE_CORRUPT); UNAVAILABLE (DATABASE_BUSY, DATABASE_IO);
// ALREADY_EXISTS (ROW_EXISTS) for a unique key; INTERNAL (DATABASE_CONSTRAINT,
// DATABASE_ERROR) for statements that are wrong.
class Transaction {
 public:
  virtual ~Transaction() = default;

  // All rows. `sql` is kept as a prepared statement: pass literals or text
  // from a small closed set, values only through `values`.
  virtual absl::StatusOr<std::vector<Row>> Query(
      absl::string_view sql, const std::vector<Value>& values) = 0;

  // The number of rows changed.
  virtual absl::StatusOr<int64_t> Execute(absl::string_view sql,
                                          const std::vector<Value>& values) = 0;

  // The id given to the row that the last INSERT made.
  virtual int64_t LastInsertId() const = 0;

  // Runs after the commit, outside the database's lock, in the order given;
  // never when the transaction is rolled back. For waking waiters.
  virtual void AfterCommit(std::function<void()> action) = 0;
};

// Thread-safe. The functions run one at a time under the database's lock: keep
// them to milliseconds, and never call the database from inside one.
class Database {
 public:
  using Body = std::function<absl::Status(Transaction&)>;

  virtual ~Database() = default;

  // Runs `body` in a transaction that has the write lock from its start;
  // commits when it returns OK, otherwise rolls back and returns its error.
  // After OK the changes survive a power cut.
  virtual absl::Status Write(const Body& body) = 0;

  // The same over one consistent snapshot; a statement that writes fails.
  virtual absl::Status Read(const Body& body) = 0;
};

}  // namespace promptd::store
