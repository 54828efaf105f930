#include "worker/encode_queue.h"

#include <utility>

#include "absl/time/clock.h"

namespace promptd::worker {

EncodeQueue::~EncodeQueue() {
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return posted_ == 0;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&idle));
}

bool EncodeQueue::Post(const std::string& name) {
  if (!loop_->PostServing([this, name] { RunBatch(name); })) return false;
  ++posted_;
  return true;
}

std::vector<CallImage> EncodeQueue::Push(CallImage image) {
  const std::string name = TowerKey(*image.call);
  const absl::Time now = absl::Now();
  image.ready = now;
  const ImageCall& call = *image.call;
  absl::MutexLock lock(&mutex_);
  Tower& tower = towers_[name];
  tower.waiting.Push(call.request.tenant, &call, call.request.priority, now,
                     std::move(image));
  // Whoever comes first posts the batch; it takes what gathers.
  if (tower.posted) return {};
  tower.posted = Post(name);
  if (tower.posted) return {};
  std::vector<CallImage> lost = Take(&tower, tower.waiting.size());
  towers_.erase(name);
  return lost;
}

void EncodeQueue::RunBatch(const std::string& name) {
  std::vector<CallImage> batch;
  {
    absl::MutexLock lock(&mutex_);
    Tower& tower = towers_[name];
    batch = Take(&tower, static_cast<size_t>(BatchSize(name)));
    tower.running = true;
    tower.posted = tower.waiting.size() > 0 && Post(name);
  }
  std::vector<std::string> tenants;
  tenants.reserve(batch.size());
  for (const CallImage& image : batch) {
    tenants.push_back(image.call->request.tenant);
  }
  const absl::Time start = absl::Now();
  encode_(std::move(batch));
  const absl::Duration each =
      (absl::Now() - start) / static_cast<int64_t>(tenants.size());
  absl::MutexLock lock(&mutex_);
  const auto tower = towers_.find(name);
  for (const std::string& tenant : tenants) {
    tower->second.waiting.Charge(tenant, each);
    tower->second.waiting.Release(tenant);
  }
  tower->second.running = false;
  if (!tower->second.posted && tower->second.waiting.size() == 0) {
    towers_.erase(tower);
  }
  --posted_;
}

std::vector<CallImage> EncodeQueue::Take(Tower* tower, size_t most) {
  std::vector<CallImage> taken;
  const absl::Time now = absl::Now();
  while (taken.size() < most) {
    std::optional<CallImage> image = tower->waiting.TryPop(now);
    if (!image.has_value()) break;
    taken.push_back(*std::move(image));
  }
  return taken;
}

int64_t EncodeQueue::Ahead(const std::string& tower, const std::string& tenant,
                           int64_t more) {
  absl::MutexLock lock(&mutex_);
  const auto found = towers_.find(tower);
  return found == towers_.end() ? 0 : found->second.waiting.Ahead(tenant, more);
}

bool EncodeQueue::Busy(const std::string& tower) {
  absl::MutexLock lock(&mutex_);
  const auto found = towers_.find(tower);
  return found != towers_.end() && found->second.running;
}

}  // namespace promptd::worker
