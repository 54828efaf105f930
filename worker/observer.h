// What a worker tells about itself while it works. Metrics implement it; the
// default observes nothing.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "worker/classify_call.h"
#include "worker/control.h"

namespace promptd::worker {

enum class Stage { kHash, kDecode, kQueue, kEncode, kHead };
inline constexpr int kStages = 5;

enum class Cache { kEmbedding, kTextFeatures };
inline constexpr int kCaches = 2;

// Lower-case name, as in metric labels.
absl::string_view StageName(Stage stage);
absl::string_view CacheName(Cache cache);
// "hit", "miss", "join" or "bypass".
absl::string_view CacheUseName(CacheUse use);

// Thread-safe; calls come from worker threads and must not block.
class Observer {
 public:
  virtual ~Observer() = default;

  // One image passed one stage.
  virtual void OnStage(Stage /*stage*/, absl::Duration /*elapsed*/) {}
  // One encode batch of `images` ran, for calls with `heads` different heads.
  virtual void OnBatch(int /*images*/, int /*heads*/) {}
  // One look into a cache.
  virtual void OnCacheUse(Cache /*cache*/, CacheUse /*use*/) {}
  // What a cache holds now, and how many entries were just evicted.
  virtual void OnCacheSize(Cache /*cache*/, int64_t /*bytes*/,
                           int64_t /*entries*/, int64_t /*evicted*/) {}
  // One image was answered: with scores, or with an error.
  virtual void OnImage(bool /*ok*/) {}
  // Training advanced by this many optimizer steps.
  virtual void OnTrainingSteps(int64_t /*steps*/) {}

  // A job occupies a slot (0, 1, ...) from start to end.
  virtual void OnJobStarted(int /*slot*/, int64_t /*job*/,
                            const std::string& /*task*/) {}
  virtual void OnJobProgress(int /*slot*/, const Progress& /*progress*/) {}
  virtual void OnJobEnded(int /*slot*/) {}
};

}  // namespace promptd::worker
