// Datasets that are being pushed: the manifest is known, images still arrive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "registry/records.h"

namespace promptd::registry {

struct PushLimits {
  int max_pushes = 64;                     // of all tenants
  int max_pushes_tenant = 8;               // of one
  int64_t max_bytes = int64_t{512} << 20;  // of all drafts together
  absl::Duration ttl = absl::Hours(1);     // since the last use
};

// Kept in memory: a restart ends every push, and the client starts over
// cheaply because stored images are not sent again. Thread-safe.
class PushSessions {
 public:
  explicit PushSessions(const Clock* clock, PushLimits limits = {});

  // A push id for a validated draft. RESOURCE_EXHAUSTED (TOO_MANY_PUSHES).
  absl::StatusOr<std::string> Begin(const std::string& tenant,
                                    DatasetDraft draft);

  // The draft, with image_digests sorted and each once; stays valid after the
  // push ends. Counts as use. NOT_FOUND (PUSH_NOT_FOUND), also for another
  // tenant's or one that was not used for the time to live.
  absl::StatusOr<std::shared_ptr<const DatasetDraft>> Get(
      const std::string& tenant, const std::string& push_id);

  // Whether a draft names this image: others are not accepted.
  static bool NamesImage(const DatasetDraft& draft, const std::string& digest);

  // Forgets the push; unknown ids are ignored.
  void End(const std::string& tenant, const std::string& push_id);

 private:
  struct Push {
    std::string tenant;
    std::shared_ptr<const DatasetDraft> draft;
    int64_t bytes = 0;
    absl::Time last_use;
  };
  void DropExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  const PushLimits limits_;
  absl::Mutex mutex_;
  std::map<std::string, Push> pushes_ ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace promptd::registry
