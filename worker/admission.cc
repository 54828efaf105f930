#include "worker/admission.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "worker/call_end.h"

namespace promptd::worker {
namespace {

absl::Status QueueFull(absl::string_view held) {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                   absl::StrCat("the classify queue holds ", held,
                                ": try again in a moment"));
}

}  // namespace

absl::Status Admission::Enter(int images, int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return ShuttingDown();
  if (images_ + images > max_images_) {
    return QueueFull(absl::StrCat(images_, " images of at most ", max_images_));
  }
  if (images_ > 0 && bytes_ + bytes > max_bytes_) {
    return QueueFull(
        absl::StrCat("images of ", bytes_, " bytes of at most ", max_bytes_));
  }
  images_ += images;
  bytes_ += bytes;
  return absl::OkStatus();
}

void Admission::LeaveOne(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  --images_;
  bytes_ -= bytes;
}

void Admission::Close(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
  mutex_.AwaitWithDeadline(absl::Condition(this, &Admission::Empty), deadline);
  abandoned_ = true;
  mutex_.Await(absl::Condition(this, &Admission::Empty));
}

}  // namespace promptd::worker
