#include "worker/image_call.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "clip/encoder.h"

namespace promptd::worker {

bool ImageCall::Fail(const absl::Status& why) {
  absl::MutexLock lock(&mutex);
  if (!status.ok()) return false;
  status = why;
  return true;
}

bool ImageCall::failed() {
  absl::MutexLock lock(&mutex);
  return !status.ok();
}

SharedHeads ImageCall::resolved() {
  absl::MutexLock lock(&mutex);
  return heads;
}

void ImageCall::SetHeads(std::vector<ResolvedHead> resolved) {
  if (resolved.size() == 1 && !resolved[0].status.ok()) {
    Fail(resolved[0].status);
    return;
  }
  absl::MutexLock lock(&mutex);
  if (heads != nullptr) return;
  outcome.heads.clear();
  outcome.temperatures.clear();
  for (const ResolvedHead& head : resolved) {
    outcome.heads.push_back(head.status);
    outcome.temperatures.push_back(
        head.head == nullptr ? 1 : head.head->temperature());
  }
  heads =
      std::make_shared<const std::vector<ResolvedHead>>(std::move(resolved));
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
      outcome.total = absl::Now() - start;
      result = std::move(outcome);
    } else {
      result = status;
    }
  }
  done(std::move(result));
}

const std::string& TowerKey(const ImageCall& call) {
  return call.image_encoder->digest();
}

}  // namespace promptd::worker
