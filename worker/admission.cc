#include "worker/admission.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "worker/call_end.h"

namespace promptd::worker {
namespace {

absl::Status QueueFull(absl::string_view held) {
  return MakeError(absl::StatusCode::kUnavailable, "QUEUE_FULL",
                   absl::StrCat("the classify queue holds ", held,
                                ": try again in a moment"));
}

absl::Status TenantQuota(int held, int most) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, "TENANT_QUOTA",
      absl::StrCat("your calls hold ", held, " images of the ", most,
                   " that one tenant may have waiting: wait for answers "
                   "before you send more"));
}

}  // namespace

absl::Status Admission::Enter(const std::string& tenant, int images,
                              int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return ShuttingDown();
  const auto own = images_of_.find(tenant);
  const int held = own == images_of_.end() ? 0 : own->second;
  if (held + images > max_images_of_tenant_) {
    return TenantQuota(held, max_images_of_tenant_);
  }
  if (images_ + images > max_images_) {
    return QueueFull(absl::StrCat(images_, " images of at most ", max_images_));
  }
  if (images_ > 0 && bytes_ + bytes > max_bytes_) {
    return QueueFull(
        absl::StrCat("images of ", bytes_, " bytes of at most ", max_bytes_));
  }
  images_ += images;
  images_of_[tenant] = held + images;
  bytes_ += bytes;
  return absl::OkStatus();
}

void Admission::LeaveOne(const std::string& tenant, int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  const auto own = images_of_.find(tenant);
  if (--own->second == 0) images_of_.erase(own);
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
