// The encoders a worker holds, by digest. Immutable once built.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/precision.h"
#include "worker/executor.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

// Thread-safe.
class EncoderSet {
 public:
  // Loads every folder; the first is the default. Errors name the folder.
  // INVALID_ARGUMENT (NO_ENCODER, DUPLICATE_ENCODER).
  static absl::StatusOr<EncoderSet> Load(const std::vector<std::string>& dirs,
                                         Precision precision);

  // Runs every encoder once on a fixed image and a fixed text, so that the
  // first request does not pay for it. Device thread only.
  absl::Status WarmUp() const;

  // The encoder, or FAILED_PRECONDITION (ENCODER_NOT_HELD).
  absl::StatusOr<std::shared_ptr<const clip::Encoder>> Find(
      const std::string& digest) const;

  // In the order of loading.
  const std::vector<EncoderDescription>& descriptions() const {
    return descriptions_;
  }
  std::vector<std::string> digests() const;

 private:
  absl::Status Add(std::shared_ptr<const clip::Encoder> encoder);

  std::map<std::string, std::shared_ptr<const clip::Encoder>> by_digest_;
  std::vector<EncoderDescription> descriptions_;
};

}  // namespace promptd::worker
