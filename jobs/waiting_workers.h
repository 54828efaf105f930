// Workers of this process that wait for a job. Private to the room.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/job.h"

namespace promptd::jobs {

// A worker that found nothing stands here, and whoever makes a job hands it
// over in the transaction that makes it: one commit where a wake-up and a lease
// of its own would take two. Workers line up inside of the transaction that
// found nothing, so no job slips between the two. Thread-safe.
class WaitingWorkers {
 private:
  struct Waiter {
    LeaseRequest request;
    bool offered = false;  // a job's transaction counts on it
    bool hinted = false;
    bool sent_away = false;
    std::optional<Job> job = std::nullopt;
  };
  using Waiters = std::list<Waiter>;

 public:
  enum class End { kJob, kHint, kOver };

  // A place in the line.
  class Place {
   public:
    Place(WaitingWorkers* line, const LeaseRequest& request);
    // Wait() must have come before.
    ~Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // Once. Leaves the line. kJob: `*job` was handed over, and is leased.
    // kHint: look for a job again. kOver: the timeout, or SendAway().
    End Wait(absl::Duration timeout, std::optional<Job>* job);

   private:
    WaitingWorkers* const line_;
    Waiters::iterator waiter_;
  };

  // A worker that is kept for one job: it gets that or, when this is destroyed
  // undelivered, stands in the line as before.
  class Offer {
   public:
    Offer(WaitingWorkers* line, Waiters::iterator waiter)
        : line_(line), waiter_(waiter) {}
    ~Offer();
    Offer(const Offer&) = delete;
    Offer& operator=(const Offer&) = delete;

    const LeaseRequest& request() const { return waiter_->request; }
    // Once, when the lease is durable.
    void Deliver(const Job& job);

   private:
    WaitingWorkers* const line_;
    const Waiters::iterator waiter_;
    bool delivered_ = false;
  };

  // Of those that hold this encoder the one that has stood longest, or null.
  std::shared_ptr<Offer> Find(const std::string& encoder_digest);
  // A job may be there for any of them.
  void Hint();
  // Ends the wait of this worker, the next one when it does not stand here.
  void SendAway(const std::string& worker);

 private:
  absl::Mutex mutex_;
  Waiters waiters_ ABSL_GUARDED_BY(mutex_);
  // Workers that were sent away before they came.
  std::set<std::string> unwanted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::jobs
