// A folder of images on this machine, ready to be pushed.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/session.h"
#include "datasets/folder_reader.h"

namespace promptd::client {

// The images under `folder`, decoded and hashed, with a progress bar, under
// `name` (empty: the folder's own name, folded). INVALID_ARGUMENT (USAGE)
// when no usable name comes out; the errors of ReadDatasetFolder.
absl::StatusOr<datasets::FolderDataset> ReadLocalDataset(
    Session& session, const std::string& folder, const std::string& name);

}  // namespace promptd::client
