// The few file operations of the blob store, with their errors as statuses:
// RESOURCE_EXHAUSTED (DISK_FULL) or UNAVAILABLE (FILE_WRITE_FAILED).
// Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace promptd::store {

// Makes a new file with these bytes, in the page cache or (`sync`) on disk.
// After an error the file is not there.
absl::Status WriteNewFile(const std::string& path, absl::string_view bytes,
                          bool sync);

absl::Status RenameFile(const std::string& from, const std::string& to);

// Makes the names in a folder durable.
absl::Status SyncFolder(const std::string& folder);

// Makes everything on the folder's file system durable, in one go.
absl::Status SyncFileSystemOf(const std::string& folder);

// A folder that may exist already.
absl::Status MakeFolder(const std::string& folder);

}  // namespace promptd::store
