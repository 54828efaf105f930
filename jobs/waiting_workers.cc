#include "jobs/waiting_workers.h"

#include "absl/algorithm/container.h"

namespace promptd::jobs {

WaitingWorkers::Place::Place(WaitingWorkers* line, const LeaseRequest& request)
    : line_(line) {
  absl::MutexLock lock(&line_->mutex_);
  waiter_ = line_->waiters_.insert(
      line_->waiters_.end(),
      {.request = request,
       .sent_away = line_->unwanted_.erase(request.worker) > 0});
}

WaitingWorkers::End WaitingWorkers::Place::Wait(absl::Duration timeout,
                                                std::optional<Job>* job) {
  const auto ended = [this]() {
    return waiter_->job.has_value() ||
           (!waiter_->offered && (waiter_->hinted || waiter_->sent_away));
  };
  const auto settled = [this]() { return !waiter_->offered; };
  absl::MutexLock lock(&line_->mutex_);
  line_->mutex_.AwaitWithTimeout(absl::Condition(&ended), timeout);
  line_->mutex_.Await(absl::Condition(&settled));
  const Waiter ended_as = std::move(*waiter_);
  line_->waiters_.erase(waiter_);
  *job = ended_as.job;
  if (job->has_value()) return End::kJob;
  return ended_as.hinted && !ended_as.sent_away ? End::kHint : End::kOver;
}

WaitingWorkers::Offer::~Offer() {
  if (delivered_) return;
  absl::MutexLock lock(&line_->mutex_);
  waiter_->offered = false;
}

void WaitingWorkers::Offer::Deliver(const Job& job) {
  absl::MutexLock lock(&line_->mutex_);
  waiter_->job = job;
  waiter_->offered = false;
  delivered_ = true;
}

std::shared_ptr<WaitingWorkers::Offer> WaitingWorkers::Find(
    const std::string& encoder_digest) {
  absl::MutexLock lock(&mutex_);
  const auto found = absl::c_find_if(waiters_, [&](const Waiter& waiter) {
    return !waiter.offered && !waiter.sent_away && !waiter.job.has_value() &&
           absl::c_linear_search(waiter.request.encoder_digests,
                                 encoder_digest);
  });
  if (found == waiters_.end()) return nullptr;
  found->offered = true;
  return std::make_shared<Offer>(this, found);
}

void WaitingWorkers::Hint() {
  absl::MutexLock lock(&mutex_);
  for (Waiter& waiter : waiters_) waiter.hinted = true;
}

void WaitingWorkers::SendAway(const std::string& worker) {
  absl::MutexLock lock(&mutex_);
  const auto found = absl::c_find_if(waiters_, [&](const Waiter& waiter) {
    return waiter.request.worker == worker;
  });
  if (found == waiters_.end()) {
    unwanted_.insert(worker);
  } else {
    found->sent_away = true;
  }
}

}  // namespace promptd::jobs
