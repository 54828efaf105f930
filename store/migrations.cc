#include "store/migrations.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::store {
namespace {

constexpr char kVersionTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migration ("
    " version INTEGER PRIMARY KEY NOT NULL,"
    " name TEXT NOT NULL,"
    " applied INTEGER NOT NULL)";

absl::Status Apply(SqliteConnection& connection, const Migration& migration,
                   absl::Time now) {
  RETURN_IF_ERROR(connection.Script(migration.sql));
  return connection
      .Run(
          "INSERT INTO schema_migration (version, name, applied)"
          " VALUES (?, ?, ?)",
          {migration.version, migration.name, now})
      .status();
}

}  // namespace

absl::Status Migrate(SqliteConnection& connection,
                     const std::vector<Migration>& migrations, absl::Time now) {
  RETURN_IF_ERROR(connection.Script(kVersionTable));
  ASSIGN_OR_RETURN(
      const SqliteConnection::Result found,
      connection.Run("SELECT COALESCE(MAX(version), 0) FROM schema_migration",
                     {}));
  const int64_t current = found.rows.at(0).Int(0);
  const int64_t newest = migrations.empty() ? 0 : migrations.back().version;
  if (current > newest) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "SCHEMA_TOO_NEW",
        absl::StrCat("the database has schema version ", current,
                     ", this promptd knows up to ", newest,
                     ": upgrade promptd, or use another --data-dir"));
  }
  for (const Migration& migration : migrations) {
    if (migration.version <= current) continue;
    RETURN_IF_ERROR(connection.Begin(/*write=*/true));
    absl::Status status = Apply(connection, migration, now);
    if (status.ok()) status = connection.Commit();
    if (!status.ok()) {
      connection.Rollback();
      return Annotate(status, absl::StrCat("schema version ", migration.version,
                                           " (", migration.name, ")"));
    }
  }
  return absl::OkStatus();
}

}  // namespace promptd::store
