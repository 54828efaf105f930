#include "worker/view_features.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"

namespace promptd::worker {
namespace {

// Views beyond are read from their blobs each time they come.
constexpr size_t kMostKeptBytes = size_t{64} << 20;

}  // namespace

ViewFeatures::ViewFeatures(const TrainingFeatures::Environment& environment,
                           const clip::Encoder* encoder,
                           const datasets::Manifest* manifest,
                           std::vector<int> items, int views, int epochs)
    : features_(environment, encoder),
      manifest_(manifest),
      items_(std::move(items)),
      epochs_(epochs),
      cycle_(views == 0 ? epochs : views),
      digest_(features_.ViewsDigest(*manifest, items_)),
      stored_(static_cast<size_t>(cycle_), false) {}

absl::Status ViewFeatures::Find() {
  for (int view = 0; view < std::min(cycle_, epochs_); ++view) {
    ASSIGN_OR_RETURN(const bool stored, features_.HasView(digest_, view));
    stored_[view] = stored;
  }
  return absl::OkStatus();
}

absl::StatusOr<const FloatTensor*> ViewFeatures::Get(int view) {
  const auto kept = kept_.find(view);
  if (kept != kept_.end()) return &kept->second;
  ASSIGN_OR_RETURN(StoredFeatures stored,
                   features_.GetView(*manifest_, items_, digest_, view));
  stored_[view] = true;
  const size_t bytes = stored.features.values.size() * sizeof(float);
  if (cycle_ < epochs_ && kept_bytes_ + bytes <= kMostKeptBytes) {
    kept_bytes_ += bytes;
    return &(kept_[view] = std::move(stored.features));
  }
  current_ = std::move(stored.features);
  return &current_;
}

int ViewFeatures::CountMissing(int epoch) const {
  int missing = 0;
  for (int i = 0; i < std::min(cycle_, epochs_ - epoch); ++i) {
    if (!stored_[(epoch + i) % cycle_]) ++missing;
  }
  return missing;
}

}  // namespace promptd::worker
