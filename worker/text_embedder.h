// Text features of one device: admission, then units of bounded time between
// the image batches.
#pragma once

#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"
#include "worker/executor.h"

namespace promptd::worker {

struct TextEmbedderOptions {
  int max_queued_texts = 8192;
  // Tokens that one unit encodes (one text at least): bounds its time.
  int max_unit_tokens = 512;
};

// At most one unit is posted to the loop at any time, so an image batch waits
// for one unit whatever is queued here. Calls take turns, one unit each.
// Deadline and cancellation are checked before every unit. Thread-safe.
class TextEmbedder {
 public:
  // `encoders` and `loop` must outlive this.
  TextEmbedder(const TextEmbedderOptions& options, const EncoderSet* encoders,
               DeviceLoop* loop);
  // Stop() with no grace.
  ~TextEmbedder();

  // As Executor::EmbedTexts.
  void EmbedTexts(EmbedTextsCall request, Executor::EmbedTextsCallback done);

  // Refuses new calls and answers those admitted, with UNAVAILABLE once
  // `deadline` has passed. Idempotent; before the loop's Stop().
  void Stop(absl::Time deadline);

 private:
  struct Call;

  absl::Status Admit(Call* call);
  absl::Status Tokenize(Call* call);
  void Queue(std::shared_ptr<Call> call);
  void PostUnit();
  void RunUnit();
  absl::Status EncodeNext(Call* call);
  absl::Status StillWanted(const Call& call);
  // Answers; the last thing that happens to an admitted call.
  void Finish(Call* call, const absl::Status& status);
  bool Idle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return texts_in_flight_ == 0;
  }

  const TextEmbedderOptions options_;
  const EncoderSet* const encoders_;
  DeviceLoop* const loop_;

  absl::Mutex mutex_;
  int texts_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;
  // Tokenised calls with texts to encode, the next one first.
  std::deque<std::shared_ptr<Call>> pending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
