// The features of the random views that one job's epochs go through.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/float_tensor.h"
#include "datasets/manifest.h"
#include "worker/training_features.h"

namespace promptd::worker {

// A view is looked for when an epoch needs it, and encoded and stored when
// nobody has yet; so a job holds one epoch's features, and those of a small
// cycle. Used by one thread.
class ViewFeatures {
 public:
  // `manifest` must outlive the object. views: TrainingSpec's, other than 1.
  ViewFeatures(const TrainingFeatures::Environment& environment,
               const clip::Encoder* encoder, const datasets::Manifest* manifest,
               std::vector<int> items, int views, int epochs);

  // Names the features of all views, for checkpoints.
  const std::string& digest() const { return digest_; }

  // Looks which views are stored. Call it before the functions below.
  absl::Status Find();

  // [N, E] of a view; valid until the next call. Errors:
  // TrainingFeatures::GetView's.
  absl::StatusOr<const FloatTensor*> Get(int view);

  // Whether Get(view) would have to encode, and how many views the epochs from
  // `epoch` on have to, as far as is known.
  bool Missing(int view) const { return !stored_[view]; }
  int CountMissing(int epoch) const;

 private:
  TrainingFeatures features_;
  const datasets::Manifest* const manifest_;
  const std::vector<int> items_;
  const int epochs_;
  const int cycle_;  // distinct views; epoch e takes view e % cycle_
  const std::string digest_;
  std::vector<bool> stored_;         // [cycle_]
  FloatTensor current_;              // of a view that is not kept
  std::map<int, FloatTensor> kept_;  // views that come again
  size_t kept_bytes_ = 0;
};

}  // namespace promptd::worker
