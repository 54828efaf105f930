// One classify or embed call on its way through the Classifier, and its
// images.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/embedding_cache.h"
#include "worker/executor.h"
#include "worker/head_source.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

using SharedHeads = std::shared_ptr<const std::vector<ResolvedHead>>;

// Shared by its images. Thread-safe where a member says so; the rest is
// constant after admission.
struct ImageCall {
  ClassifyCall request;
  Executor::ClassifyCallback done;
  std::shared_ptr<const clip::Encoder> encoder;
  // That, or the one with the image tower that the heads are of.
  std::shared_ptr<const clip::Encoder> image_encoder;
  std::vector<std::string> head_names;
  absl::Time start;
  std::atomic<int> remaining{0};  // images without an outcome

  absl::Mutex mutex;
  // Why the whole call fails; the first reason stays.
  absl::Status status ABSL_GUARDED_BY(mutex);
  ClassifyOutcome outcome ABSL_GUARDED_BY(mutex);
  SharedHeads heads ABSL_GUARDED_BY(mutex);  // once they are resolved

  // Thread-safe, as all functions here.
  // Whether it is the first reason.
  bool Fail(const absl::Status& why);
  bool failed();
  SharedHeads resolved();
  // Keeps them; the failure of an only head is the call's.
  void SetHeads(std::vector<ResolvedHead> resolved);
  // Keeps the longest time of any image in a stage.
  void RecordStage(absl::Duration StageTimings::*stage, absl::Duration elapsed);
  // Takes one image's outcome; the last one answers the call.
  void Finish(size_t index, ImageOutcome image);
};

// One image between two stages. Moved from stage to stage, never copied.
struct CallImage {
  std::shared_ptr<ImageCall> call;
  size_t index = 0;
  int64_t bytes = 0;  // as admitted
  CacheUse cache = CacheUse::kBypass;
  EmbeddingKey key = {};            // unless it bypasses the cache
  bool leads = false;               // owes the cache a Land()
  bool decoding = false;            // owes the decode queue a Release()
  int batch_size = 0;               // that it was encoded in
  absl::Time queued = {};           // when it began to wait to be decoded
  absl::Duration predicted = {};    // wait from then to its feature; zero: none
  bool probe = false;               // taken to see how long it really takes
  absl::Time ready = {};            // when it began to wait for a batch
  std::vector<float> decoded = {};  // [3, S, S], of a file, once it is decoded
  SharedFeature feature = {};       // once known
};

// Names the image tower that a call's images go through. Images of one tower
// share batches, and their features.
const std::string& TowerKey(const ImageCall& call);

}  // namespace promptd::worker
