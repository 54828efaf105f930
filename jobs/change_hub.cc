#include "jobs/change_hub.h"

#include <utility>

namespace promptd::jobs {

ChangeHub::Subscription::~Subscription() {
  absl::MutexLock lock(&hub_->listeners_mutex_);
  hub_->listeners_.erase(key_);
  hub_->work_listeners_.erase(key_);
}

std::unique_ptr<ChangeHub::Subscription> ChangeHub::Subscribe(
    Listener listener) {
  absl::MutexLock lock(&listeners_mutex_);
  const int64_t key = next_key_++;
  listeners_[key] = std::move(listener);
  return std::unique_ptr<Subscription>(new Subscription(this, key));
}

std::unique_ptr<ChangeHub::Subscription> ChangeHub::SubscribeWork(
    std::function<void()> listener) {
  absl::MutexLock lock(&listeners_mutex_);
  const int64_t key = next_key_++;
  work_listeners_[key] = std::move(listener);
  return std::unique_ptr<Subscription>(new Subscription(this, key));
}

void ChangeHub::NotifyJob(int64_t job) {
  {
    absl::MutexLock lock(&mutex_);
    ++changes_;
  }
  absl::MutexLock lock(&listeners_mutex_);
  for (const auto& [key, listener] : listeners_) listener(job);
}

uint64_t ChangeHub::ChangeCount() const {
  absl::MutexLock lock(&mutex_);
  return changes_;
}

bool ChangeHub::WaitForChange(uint64_t seen, absl::Time deadline) const {
  const auto changed = [this, seen]() { return changes_ != seen; };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(absl::Condition(&changed), deadline);
}

void ChangeHub::NotifyWork() {
  absl::MutexLock lock(&listeners_mutex_);
  for (const auto& [key, listener] : work_listeners_) listener();
}

}  // namespace promptd::jobs
