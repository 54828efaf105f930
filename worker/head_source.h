// The heads that calls ask for: read from blobs, or encoded from texts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/classify_call.h"
#include "worker/head_cache.h"
#include "worker/observer.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

// A head of a call, or why there is none.
struct ResolvedHead {
  absl::Status status;
  SharedHead head;
};

// Thread-safe.
class HeadSource {
 public:
  using BlobReader =
      std::function<absl::StatusOr<std::string>(const std::string& digest)>;

  // `read_blob` fetches the heads of learned prompts. `observer` must outlive
  // this.
  HeadSource(int64_t max_bytes, Observer* observer, BlobReader read_blob)
      : cache_(max_bytes, observer), read_blob_(std::move(read_blob)) {}

  // Names the head of a text side: equal names, equal heads.
  static std::string NameOf(const clip::Encoder& encoder, const TextSide& text);

  // Whether the head of a learned prompt is in memory.
  bool Holds(const std::string& features_digest) const {
    return cache_.Holds(features_digest);
  }

  // By place in `queries`, whose names are `names`. False when one of them is
  // to be encoded first, which takes `on_device`: a thread that computes.
  bool Resolve(const clip::Encoder& encoder,
               const std::vector<HeadQuery>& queries,
               const std::vector<std::string>& names, bool on_device,
               std::vector<ResolvedHead>* heads);

 private:
  absl::StatusOr<SharedHead> Learned(const clip::Encoder& encoder,
                                     const std::string& digest);
  absl::StatusOr<SharedHead> ZeroShot(const clip::Encoder& encoder,
                                      const std::string& name,
                                      const std::vector<std::string>& texts);

  HeadCache cache_;
  const BlobReader read_blob_;
};

}  // namespace promptd::worker
