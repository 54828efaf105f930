// Pushes a local dataset: manifest out, missing digests in, only those images
// up, commit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/session.h"
#include "datasets/folder_reader.h"

namespace promptd::client {

struct PushOutcome {
  v1::Dataset dataset;
  int64_t uploaded_images = 0;
  int64_t uploaded_bytes = 0;
  // Read here but refused by the server, so not part of the dataset.
  std::vector<datasets::SkippedFile> rejected;
};

// Shows a progress bar while it uploads. Images that the server cannot read
// are left out and reported. Errors of the server; FAILED_PRECONDITION
// (FILE_CHANGED) when a file is no longer what was hashed. Safe to repeat: a
// second push sends only what is missing.
absl::StatusOr<PushOutcome> PushDataset(Session& session,
                                        datasets::FolderDataset local);

// Reads and pushes `folder`, and tells on the message stream what was found,
// skipped and sent.
absl::StatusOr<PushOutcome> PushFolder(Session& session,
                                       const std::string& folder,
                                       const std::string& name);

}  // namespace promptd::client
