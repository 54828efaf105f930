// The image pipeline of one device: admission, decode pool, encode batches
// across all calls, head (scores, or features in an embed call), reply.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/bounded_queue.h"
#include "worker/device_loop.h"
#include "worker/executor.h"
#include "worker/head_cache.h"
#include "worker/image_call.h"
#include "worker/observer.h"
#include "worker/tuned_encoders.h"

namespace promptd::worker {

struct ClassifierOptions {
  int decode_threads = 1;
  int max_queued_images = 1024;
  int max_batch = 32;
  int64_t max_feature_cache_bytes = 256 << 20;
};

// An idle device never waits: a batch is posted as soon as one image is
// decoded, and takes all that have gathered when its turn comes, whatever
// task they belong to. Deadline and cancellation are checked at every stage.
// Thread-safe.
class Classifier {
 public:
  using BlobReader =
      std::function<absl::StatusOr<std::string>(const std::string& digest)>;

  // `encoders`, `loop` and `observer` must outlive this. `read_blob` fetches
  // the heads of versions.
  Classifier(const ClassifierOptions& options, TunedEncoders* encoders,
             DeviceLoop* loop, Observer* observer, BlobReader read_blob);
  // Stop() with no grace.
  ~Classifier();

  // As Executor::Classify.
  void Classify(ClassifyCall request, Executor::ClassifyCallback done);

  // Refuses new calls, answers those admitted (with UNAVAILABLE once
  // `deadline` has passed) and joins the decode threads. Idempotent.
  void Stop(absl::Time deadline);

 private:
  struct Image;

  absl::Status Admit(const std::shared_ptr<ImageCall>& call);
  void DecodeLoop();
  void Decode(Image image);
  // One image, preprocessed.
  static absl::StatusOr<std::vector<float>> PixelsOf(ImageCall* call,
                                                     size_t index);
  void PostBatch(Image image);
  void RunBatch(const std::string& encoder_digest);
  void RunHead(std::vector<Image>* images,
               const absl::StatusOr<std::vector<float>>& features,
               absl::Duration encode_time);
  // One image's answer from its feature [E]. The text is resolved.
  ImageOutcome Conclude(ImageCall* call, absl::Span<const float> feature);
  // With the encoder that the version's images are for.
  absl::Status ResolveLearnedHead(ImageCall* call);
  absl::Status ResolveZeroShotHead(ImageCall* call);
  // Whether the call is still worth work; otherwise fails it.
  bool StillWanted(ImageCall* call);
  void FinishImage(const Image& image, ImageOutcome outcome);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return images_in_flight_ == 0;
  }

  const ClassifierOptions options_;
  TunedEncoders* const encoders_;
  DeviceLoop* const loop_;
  Observer* const observer_;
  const BlobReader read_blob_;
  HeadCache head_cache_;
  BoundedQueue<Image> decode_queue_;
  std::vector<std::thread> decoders_;

  mutable absl::Mutex mutex_;
  int images_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  // Decoded images by the digest of the encoder that they are for, waiting for
  // the posted batch.
  std::map<std::string, std::deque<Image>> pending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
