// The features of recent images, bounded in bytes, and those under way.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/lru.h"
#include "worker/classify_call.h"
#include "worker/observer.h"

namespace promptd::worker {

// Immutable; [E] as the tower gives it.
using SharedFeature = std::shared_ptr<const std::vector<float>>;

// Names a feature: equal keys, equal features.
struct EmbeddingKey {
  std::array<uint8_t, 32> digest{};

  bool operator==(const EmbeddingKey&) const = default;
};

// What an image's bytes are: a file's, or the numbers that preprocessing
// leaves.
enum class ImageKind { kFile, kPixels };

// SHA-256 over all of it: no tenant can name another one's feature. `tower`
// names the image tower, `digest` is the SHA-256 of a file's bytes, of pixels
// their hash in this process (worker/keyed_hash.h).
EmbeddingKey EmbeddingKeyOf(absl::string_view tenant, absl::string_view tower,
                            ImageKind kind, absl::string_view digest);

// How the encoding of an image ended for one who has joined it.
struct Landing {
  enum class Kind {
    kFeature,   // `feature`, from a batch of `batch_size`
    kBadImage,  // `status` is the image's
    kFailed,    // `status` is the call's
    kLead,      // nobody encodes it any more: the joiner leads now
  };
  Kind kind = Kind::kLead;
  SharedFeature feature = nullptr;
  absl::Status status = absl::OkStatus();
  int batch_size = 0;
};

// Least recently used goes first. An image that is asked for while it is being
// encoded is encoded once: the first one leads, the others join. Thread-safe.
class EmbeddingCache {
 public:
  using Joiner = std::function<void(const Landing&)>;

  struct Found {
    CacheUse use = CacheUse::kMiss;
    SharedFeature feature = nullptr;  // of a hit
  };

  // 0 bytes: joins, and keeps nothing. `observer` must outlive this.
  EmbeddingCache(int64_t max_bytes, Observer* observer)
      : observer_(observer), features_(max_bytes) {}

  // kHit; kMiss: the caller leads and owes a Land(); kJoin: the joiner that
  // `join` makes is called once, by who calls Land(), without a lock.
  Found Find(const EmbeddingKey& key, absl::FunctionRef<Joiner()> join);
  // The same for who cannot lead: a kMiss owes nothing. A joiner that is told
  // kLead all the same hands it on with a Land() of kLead.
  Found FindKnown(const EmbeddingKey& key, absl::FunctionRef<Joiner()> join);

  // The leader's end: keeps a feature and tells all who have joined; kLead
  // goes to the first of them only, who owes a Land() then.
  void Land(const EmbeddingKey& key, const Landing& landing);

 private:
  struct KeyHash {
    size_t operator()(const EmbeddingKey& key) const {
      size_t hash = 0;
      std::memcpy(&hash, key.digest.data(), sizeof(hash));
      return hash;
    }
  };

  Found Look(const EmbeddingKey& key, bool may_lead,
             absl::FunctionRef<Joiner()> join);
  void InsertLocked(const EmbeddingKey& key, const SharedFeature& feature)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Observer* const observer_;
  absl::Mutex mutex_;
  Lru<EmbeddingKey, SharedFeature, KeyHash> features_ ABSL_GUARDED_BY(mutex_);
  // Who waits for each image under way; its leader is not among them.
  std::unordered_map<EmbeddingKey, std::deque<Joiner>, KeyHash> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
