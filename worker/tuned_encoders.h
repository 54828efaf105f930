// Encoders with image towers of versions' own, loaded when they are needed.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"

namespace promptd::worker {

// The least recently used goes first once their towers take more than so many
// bytes; one in use lives on through its shared_ptr. Thread-safe.
class TunedEncoders {
 public:
  using BlobReader =
      std::function<absl::StatusOr<std::string>(const std::string& digest)>;

  // Everything is borrowed and must outlive this.
  TunedEncoders(int64_t max_bytes, const EncoderSet* encoders, DeviceLoop* loop,
                BlobReader read_blob);

  // The encoder, with the image tower of ClassHead::image_tower: the one that
  // is held where that is empty. A tower that is not in memory is read and
  // loaded, one at a time, as a unit of the device loop: not to be called from
  // one. FAILED_PRECONDITION (ENCODER_NOT_HELD); DATA_LOSS (BLOB_CORRUPT);
  // NOT_FOUND (BLOB_NOT_FOUND); UNAVAILABLE (SHUTTING_DOWN).
  absl::StatusOr<std::shared_ptr<const clip::Encoder>> Find(
      const std::string& encoder_digest, const std::string& image_tower);

  // Of the towers kept.
  int64_t bytes() const;

 private:
  struct Entry {
    std::string encoder_digest;  // of the encoder that is held
    std::string image_tower;
    std::shared_ptr<const clip::Encoder> encoder;
    int64_t bytes = 0;
  };

  // Null when it is not kept.
  std::shared_ptr<const clip::Encoder> FindKept(
      const std::string& encoder_digest, const std::string& image_tower);
  void Keep(Entry entry);

  const int64_t max_bytes_;
  const EncoderSet* const encoders_;
  DeviceLoop* const loop_;
  const BlobReader read_blob_;

  absl::Mutex loading_;  // held by who loads; taken before mutex_
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // most recent first
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace promptd::worker
