// Wakes threads of this process when jobs change; carries no data itself.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace promptd::jobs {

// Thread-safe. A hint only: what changed is read from the database, so a lost
// or a doubled wake-up costs time, never truth.
class ChangeHub {
 public:
  using Listener = std::function<void(int64_t job)>;

  // Dropping it ends the subscription; after that the listener is not running
  // and never runs again. Do not drop it from inside a listener. The hub must
  // outlive it.
  class Subscription {
   public:
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    friend class ChangeHub;
    Subscription(ChangeHub* hub, int64_t key) : hub_(hub), key_(key) {}
    ChangeHub* const hub_;
    const int64_t key_;
  };

  // Listeners run on the thread that committed: they must not block and must
  // not call the job store or this hub.
  std::unique_ptr<Subscription> Subscribe(Listener listener);

  // The same for listeners that are called whenever a job may be ready to be
  // leased.
  std::unique_ptr<Subscription> SubscribeWork(std::function<void()> listener);

  // A job got an event.
  void NotifyJob(int64_t job);
  // Changes so far; with WaitForChange it closes the gap between looking and
  // waiting: take the count, look, wait for another count.
  uint64_t ChangeCount() const;
  // False at the deadline.
  bool WaitForChange(uint64_t seen, absl::Time deadline) const;

  // A job may be ready to be leased.
  void NotifyWork();

 private:
  mutable absl::Mutex mutex_;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Held while listeners run, so that ending a subscription waits for them.
  absl::Mutex listeners_mutex_;
  int64_t next_key_ ABSL_GUARDED_BY(listeners_mutex_) = 1;
  std::map<int64_t, Listener> listeners_ ABSL_GUARDED_BY(listeners_mutex_);
  std::map<int64_t, std::function<void()>> work_listeners_
      ABSL_GUARDED_BY(listeners_mutex_);
};

}  // namespace promptd::jobs
