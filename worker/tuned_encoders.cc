#include "worker/tuned_encoders.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/safetensors.h"

namespace promptd::worker {

TunedEncoders::TunedEncoders(int64_t max_bytes, const EncoderSet* encoders,
                             DeviceLoop* loop, BlobReader read_blob)
    : max_bytes_(max_bytes),
      encoders_(encoders),
      loop_(loop),
      read_blob_(std::move(read_blob)) {}

absl::StatusOr<std::shared_ptr<const clip::Encoder>> TunedEncoders::Find(
    const std::string& encoder_digest, const std::string& image_tower) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const clip::Encoder> held,
                   encoders_->Find(encoder_digest));
  if (image_tower.empty()) return held;
  if (auto kept = FindKept(encoder_digest, image_tower)) return kept;
  absl::MutexLock loads(&loading_);
  if (auto kept = FindKept(encoder_digest, image_tower)) return kept;
  absl::StatusOr<std::string> bytes = read_blob_(image_tower);
  if (!bytes.ok()) return Annotate(bytes.status(), "image tower");
  const int64_t size = static_cast<int64_t>(bytes->size());
  const auto tensors =
      weights::Safetensors::FromBytes(*std::move(bytes), "image tower");
  std::shared_ptr<const clip::Encoder> tuned;
  const absl::Status loaded = loop_->RunServing([&]() -> absl::Status {
    RETURN_IF_ERROR(tensors.status());
    ASSIGN_OR_RETURN(tuned, held->WithImageTower(*tensors, image_tower));
    return absl::OkStatus();
  });
  if (loaded.code() == absl::StatusCode::kInvalidArgument) {
    return MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                     absl::StrCat("the stored image tower ", image_tower, ": ",
                                  loaded.message()));
  }
  RETURN_IF_ERROR(loaded);
  Keep({encoder_digest, image_tower, tuned, size});
  return tuned;
}

int64_t TunedEncoders::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

std::shared_ptr<const clip::Encoder> TunedEncoders::FindKept(
    const std::string& encoder_digest, const std::string& image_tower) {
  absl::MutexLock lock(&mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->encoder_digest != encoder_digest ||
        entry->image_tower != image_tower) {
      continue;
    }
    entries_.splice(entries_.begin(), entries_, entry);
    return entry->encoder;
  }
  return nullptr;
}

void TunedEncoders::Keep(Entry entry) {
  absl::MutexLock lock(&mutex_);
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

}  // namespace promptd::worker
