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

// Why a call is turned away before any work.
enum class Rejection { kTenantQuota, kQueueFull, kDeadline, kDraining };
inline constexpr int kRejections = 4;

// Where a call that nobody waits for any more is given up: at admission, when
// its turn to be decoded comes, decoded, when its batch begins, encoded, and
// before its reply.
enum class Checkpoint { kAdmission, kDecode, kDecoded, kEncode, kHead, kReply };
inline constexpr int kCheckpoints = 6;

// Lower-case name, as in metric labels.
absl::string_view RejectionName(Rejection rejection);
absl::string_view CheckpointName(Checkpoint checkpoint);
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
  // A call was turned away; or was given up, as its deadline had passed or its
  // caller had gone.
  virtual void OnRejected(Rejection /*why*/) {}
  virtual void OnGivenUp(Checkpoint /*where*/, bool /*expired*/) {}
  // More (or, below 0, fewer) images and bytes wait for their answers.
  virtual void OnQueued(int64_t /*images*/, int64_t /*bytes*/) {}
  // What images of a tenant have cost a decode thread or the device.
  virtual void OnTenantCost(const std::string& /*tenant*/,
                            absl::Duration /*cost*/) {}
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
