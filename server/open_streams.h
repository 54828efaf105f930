// The streams that are open, so that a shutdown does not wait for clients that
// keep one open.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace promptd::server {

// Thread-safe.
class OpenStream {
 public:
  virtual ~OpenStream() = default;
  // Ends it: the server is shutting down.
  virtual void Drain() = 0;
};

// Thread-safe.
class OpenStreams {
 public:
  // `kind` as in "at most 8 <kind> streams".
  OpenStreams(std::string kind, size_t most)
      : kind_(std::move(kind)), most_(most) {}

  // RESOURCE_EXHAUSTED (TOO_MANY_STREAMS); UNAVAILABLE (SHUTTING_DOWN).
  absl::Status Add(const std::shared_ptr<OpenStream>& stream);
  void Remove(const std::shared_ptr<OpenStream>& stream);
  // Ends all of them and lets no more in.
  void Drain();

 private:
  const std::string kind_;
  const size_t most_;
  absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<OpenStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server
