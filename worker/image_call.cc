#include "worker/image_call.h"

#include <algorithm>
#include <utility>

namespace promptd::worker {

void ImageCall::Fail(const absl::Status& why) {
  absl::MutexLock lock(&mutex);
  if (status.ok()) status = why;
}

bool ImageCall::failed() {
  absl::MutexLock lock(&mutex);
  return !status.ok();
}

void ImageCall::RecordStage(absl::Duration StageTimings::*stage,
                            absl::Duration elapsed) {
  absl::MutexLock lock(&mutex);
  absl::Duration& longest = outcome.timings.*stage;
  longest = std::max(longest, elapsed);
}

void ImageCall::Finish(size_t index, ImageOutcome image) {
  {
    absl::MutexLock lock(&mutex);
    outcome.images[index] = std::move(image);
  }
  if (remaining.fetch_sub(1) != 1) return;
  absl::StatusOr<ClassifyOutcome> result = ClassifyOutcome();
  {
    absl::MutexLock lock(&mutex);
    if (status.ok()) {
      result = std::move(outcome);
    } else {
      result = status;
    }
  }
  done(std::move(result));
}

}  // namespace promptd::worker
