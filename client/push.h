// Pushes a local dataset: manifest out, missing digests in, only those images
// up, commit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/session.h"
#include "datasets/folder_reader.h"
#include "promptd/v1/dataset.pb.h"

namespace promptd::client {

struct PushOutcome {
  v1::Dataset dataset;
  int64_t uploaded_images = 0;
  int64_t uploaded_bytes = 0;
  // Read here but refused by the server, so not part of the dataset.
  std::vector<datasets::SkippedFile> rejected;
};

// What becomes of images that the server cannot read.
enum class OnRefusal {
  kLeaveOut,  // they are reported
  kFail,      // nothing is committed
};

// Shows a progress bar while it uploads. Errors of the server;
// FAILED_PRECONDITION (FILE_CHANGED) when a file is no longer what was hashed;
// INVALID_ARGUMENT (IMAGES_REFUSED) names the images under kFail. Safe to
// repeat: a second push sends only what is missing.
absl::StatusOr<PushOutcome> PushDataset(
    Session& session, datasets::FolderDataset local,
    OnRefusal on_refusal = OnRefusal::kLeaveOut);

// Pushes what was read from `from`, and tells on the message stream what was
// found, skipped and sent.
absl::StatusOr<PushOutcome> PushRead(Session& session,
                                     datasets::FolderDataset local,
                                     const std::string& from,
                                     OnRefusal on_refusal);

// Reads `folder` and pushes it.
absl::StatusOr<PushOutcome> PushFolder(Session& session,
                                       const std::string& folder,
                                       const std::string& name);

}  // namespace promptd::client
