// What a classify or embed call asks of a worker, and its answer.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "worker/priority.h"

namespace promptd::worker {

// The text side of a classify call: the derived features of one version,
// pinned by the front end, or labels to encode.
struct TextSide {
  // Learned: the digest of the version's head (worker/head_blob.h). Empty for
  // zero-shot.
  std::string features_digest = {};
  // Zero-shot: texts ready to tokenize, one per class.
  std::vector<std::string> texts = {};
};

// One answer that is wanted of every image.
struct HeadQuery {
  TextSide text;
  int top_k = 5;
};

struct ClassifyCall {
  // Whose images they are: features are shared by the calls of one tenant.
  std::string tenant;
  std::string encoder_digest;
  // The images' features instead of scores: no heads.
  bool embed = false;
  // Each scores every image; the image is encoded once.
  std::vector<HeadQuery> heads;
  // Encoded. The bytes are borrowed until the answer.
  std::vector<absl::string_view> images;
  // More images, behind those: the SHA-256 (32 bytes) of files that calls of
  // this tenant had before; borrowed too. One whose feature is neither cached
  // nor under way is answered IMAGE_NOT_CACHED.
  std::vector<absl::string_view> image_digests = {};
  // Instead of both: each [3, S, S], RGB, as preprocessing leaves it. Borrowed
  // until the answer, as the bytes of files are.
  std::vector<absl::Span<const float>> pixels = {};
  // Neither takes features that are cached nor caches its own.
  bool no_cache = false;
  // Among the tenant's own calls.
  Priority priority = Priority::kNormal;
  absl::Time deadline = absl::InfiniteFuture();
  // Polled at every stage; true once the caller has gone away. May be empty.
  std::function<bool()> cancelled;
};

// Images of any kind.
inline size_t ImageCount(const ClassifyCall& call) {
  return call.pixels.empty() ? call.images.size() + call.image_digests.size()
                             : call.pixels.size();
}

// Whether an image of the call is only named.
inline bool IsByDigest(const ClassifyCall& call, size_t index) {
  return call.pixels.empty() && index >= call.images.size();
}

struct Scored {
  int class_index = 0;
  float probability = 0;
  float similarity = 0;  // cosine to the class's row of weights
};

// A feature of an image or a text.
struct Embedding {
  std::vector<float> values;  // [E], unit length
  float norm = 0;             // length before it was made 1
};

// Where an image's feature came from: it was encoded although the cache might
// have had it; it was cached; another call was encoding it; it was encoded.
enum class CacheUse { kBypass, kHit, kJoin, kMiss };

struct ImageOutcome {
  absl::Status status = absl::OkStatus();  // why this image has no answer
  // By head, best class first; none of a head that failed, none in an embed
  // call.
  std::vector<std::vector<Scored>> scores = {};
  Embedding embedding = {};  // of an embed call
  CacheUse cache = CacheUse::kBypass;
  int batch_size = 0;  // images encoded with it; 0 for a hit
};

struct StageTimings {
  absl::Duration hash;
  absl::Duration decode;
  absl::Duration queue;
  absl::Duration encode;
  absl::Duration head;
};

struct ClassifyOutcome {
  std::vector<ImageOutcome> images;  // in call order
  // By head: why it answers nothing. The failure of an only head is the
  // call's.
  std::vector<absl::Status> heads;
  // By head: what its logits were divided by; 1: it was not calibrated.
  std::vector<double> temperatures;
  StageTimings timings;  // of the slowest image, stage by stage
  absl::Duration total;  // from the call to its answer
};

}  // namespace promptd::worker
