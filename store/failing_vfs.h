// Where a disk fails under the database: the failpoints db.write and db.sync.
#pragma once

namespace promptd::store {

// The name of a file system for SQLite whose writes and syncs come by the
// failpoints, each failed write with half of its bytes written; null, SQLite's
// own, unless failpoints are armed by now. Thread-safe.
const char* FailingVfs();

}  // namespace promptd::store
