// Garbage collection of this process: one at a time, whoever asks for it, and
// by itself at an interval. What it removes is counted and logged.
#pragma once

#include <atomic>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "prometheus/counter.h"
#include "prometheus/registry.h"
#include "registry/garbage.h"
#include "store/blob_store.h"
#include "store/database.h"

namespace promptd::server {

// Thread-safe; the pointers are borrowed and must outlive it.
class GarbageCollector {
 public:
  // `keep_features`: registry::GarbageOptions.
  GarbageCollector(store::Database* db, store::BlobStore* blobs,
                   const Clock* clock, prometheus::Registry* metrics,
                   absl::Duration keep_features);
  // Stop().
  ~GarbageCollector();
  GarbageCollector(const GarbageCollector&) = delete;
  GarbageCollector& operator=(const GarbageCollector&) = delete;

  // FAILED_PRECONDITION (COLLECTION_RUNNING); errors of
  // registry::CollectGarbage.
  absl::StatusOr<registry::GarbageReport> Collect(bool dry_run,
                                                  absl::Duration grace);

  // From now on collects whenever `interval` has passed, with the usual grace.
  // Call at most once.
  void Start(absl::Duration interval);
  // Ends that; a collection under way ends at its next blob. Idempotent.
  void Stop();

 private:
  void Run(absl::Duration interval);
  absl::StatusOr<registry::GarbageReport> CollectAlone(
      const registry::GarbageOptions& options);

  store::Database* const db_;
  store::BlobStore* const blobs_;
  const Clock* const clock_;
  const absl::Duration keep_features_;
  prometheus::Counter& removed_blobs_;
  prometheus::Counter& removed_bytes_;
  prometheus::Counter& succeeded_;
  prometheus::Counter& failed_;
  std::atomic<bool> collecting_ = false;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace promptd::server
