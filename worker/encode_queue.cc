#include "worker/encode_queue.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace promptd::worker {
namespace {

// Behind an image of another tenant than the one before it.
constexpr absl::Duration kMixed = absl::Seconds(1);

}  // namespace

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
  if (tower.last_tenant != call.request.tenant) {
    if (!tower.last_tenant.empty()) tower.mixed_until = now + kMixed;
    tower.last_tenant = call.request.tenant;
  }
  tower.waiting.Push(call.request.tenant, &call, call.request.priority, now,
                     std::move(image));
  // Whoever comes first posts the batch; it takes what gathers.
  if (tower.posted) return {};
  tower.posted = Post(name);
  if (tower.posted) return {};
  std::vector<CallImage> lost =
      tower.waiting.TakeBatch(now, tower.waiting.size(), 0);
  towers_.erase(name);
  return lost;
}

void EncodeQueue::RunBatch(const std::string& name) {
  std::vector<CallImage> batch;
  {
    absl::MutexLock lock(&mutex_);
    Tower& tower = towers_[name];
    const absl::Time now = absl::Now();
    const size_t full = Full(name, tower, now);
    batch = tower.waiting.TakeBatch(now, Share(tower, full), full);
    tower.last_batch = batch.size();
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

size_t EncodeQueue::Full(const std::string& name, const Tower& tower,
                         absl::Time now) const {
  const auto full = static_cast<size_t>(BatchSize(name));
  return now < tower.mixed_until ? (full + 1) / 2 : full;
}

size_t EncodeQueue::Share(const Tower& tower, size_t most) {
  // Clients with so many calls under way send the next once they are answered.
  // A batch of all that wait would leave one image, the first to come back, for
  // the batch behind it, and so on in turns.
  if (tower.last_batch == 0) return most;  // nobody is to come back
  return std::min(most, (tower.waiting.size() + tower.last_batch + 1) / 2);
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
