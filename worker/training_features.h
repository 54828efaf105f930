// Image features for training and evaluation: encoded once, kept as a blob.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/float_tensor.h"
#include "datasets/manifest.h"
#include "worker/control.h"
#include "worker/device_loop.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

struct StoredFeatures {
  FloatTensor features;  // [N, E], not normalised, in the order asked for
  std::string digest;    // of the blob
};

// Decodes and encodes dataset items with the test transform, or with one of
// their random views (datasets/random_view.h). Every encode batch has one
// fixed, padded shape, so that an image's feature does not depend on what else
// is asked for; the result is stored under a key made of encoder, recipe and
// image digests and found there the next time.
// Used by one thread.
class TrainingFeatures {
 public:
  struct Environment {
    Control* control = nullptr;
    DeviceLoop* loop = nullptr;
    int decode_threads = 1;
    // After each batch: (images done, images in all). An error stops the work
    // and is returned.
    std::function<absl::Status(int64_t, int64_t)> on_progress;
  };
  TrainingFeatures(const Environment& environment, const clip::Encoder* encoder)
      : environment_(environment), encoder_(encoder) {}

  // With the test transform. An image that cannot be read is an error that
  // names its path; errors of the control door and of on_progress pass through.
  absl::StatusOr<StoredFeatures> Get(const datasets::Manifest& manifest,
                                     const std::vector<int>& items);

  // Names the features of all random views of these items: encoder, recipe and
  // images in their order.
  std::string ViewsDigest(const datasets::Manifest& manifest,
                          const std::vector<int>& items) const;
  // Random view `view`, 0 or more, of the items that `views_digest` is of.
  // Errors: Get's.
  absl::StatusOr<StoredFeatures> GetView(const datasets::Manifest& manifest,
                                         const std::vector<int>& items,
                                         const std::string& views_digest,
                                         int view);
  // Whether GetView would find it.
  absl::StatusOr<bool> HasView(const std::string& views_digest, int view);

 private:
  // No `view`: the test transform.
  absl::StatusOr<StoredFeatures> GetByKey(const std::string& key,
                                          const datasets::Manifest& manifest,
                                          const std::vector<int>& items,
                                          std::optional<int> view);
  absl::StatusOr<FloatTensor> Encode(const datasets::Manifest& manifest,
                                     const std::vector<int>& items,
                                     std::optional<int> view);

  const Environment environment_;
  const clip::Encoder* const encoder_;
};

}  // namespace promptd::worker
