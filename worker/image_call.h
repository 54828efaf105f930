// One classify or embed call on its way through the Classifier, shared by its
// images.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/executor.h"
#include "worker/head_cache.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

// Thread-safe where a member says so; the rest is constant after admission.
struct ImageCall {
  ClassifyCall request;
  Executor::ClassifyCallback done;
  std::shared_ptr<const clip::Encoder> encoder;
  std::atomic<int> remaining{0};  // images without an outcome

  absl::Mutex mutex;
  // Why the whole call fails; the first reason stays.
  absl::Status status ABSL_GUARDED_BY(mutex);
  ClassifyOutcome outcome ABSL_GUARDED_BY(mutex);
  SharedHead head ABSL_GUARDED_BY(mutex);  // none in an embed call
  // `encoder`, or that with the image tower of the version's own.
  std::shared_ptr<const clip::Encoder> image_encoder ABSL_GUARDED_BY(mutex);

  // Thread-safe, as all functions here.
  void Fail(const absl::Status& why);
  bool failed();
  // Keeps the longest time of any image in a stage.
  void RecordStage(absl::Duration StageTimings::*stage, absl::Duration elapsed);
  // Takes one image's outcome; the last one answers the call.
  void Finish(size_t index, ImageOutcome image);
};

}  // namespace promptd::worker
