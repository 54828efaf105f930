#include "worker/encode_queue.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "clip/pass_size.h"
#include "clip/side_by_side.h"

namespace promptd::worker {
namespace {

// Behind an image of another tenant than the one before it.
constexpr absl::Duration kMixed = absl::Seconds(1);

}  // namespace

EncodeQueue::~EncodeQueue() {
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return towers_.empty();
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&idle));
}

bool EncodeQueue::Post(const std::string& name) {
  return loop_->PostServing([this, name] { RunTurn(name); });
}

std::vector<CallImage> EncodeQueue::Push(CallImage image) {
  const std::string name = TowerKey(*image.call);
  const absl::Time now = absl::Now();
  image.ready = now;
  const ImageCall& call = *image.call;
  absl::MutexLock lock(&mutex_);
  const auto [entry, added] = towers_.try_emplace(name);
  Tower& tower = entry->second;
  if (added && name == last_tower_) tower.clients = last_clients_;
  tower.clients.Came(now, Patience(name));
  if (tower.last_tenant != call.request.tenant) {
    if (!tower.last_tenant.empty()) tower.mixed_until = now + kMixed;
    tower.last_tenant = call.request.tenant;
  }
  tower.waiting.Push(call.request.tenant, &call, call.request.priority, now,
                     std::move(image));
  // Whoever comes first posts the turn; its batches take what gathers.
  if (!added || Post(name)) return {};
  std::vector<CallImage> lost =
      tower.waiting.TakeBatch(now, tower.waiting.size(), 0);
  towers_.erase(name);
  return lost;
}

void EncodeQueue::RunTurn(const std::string& name) {
  for (int begun = 0;; ++begun) {
    std::optional<Batch> batch = NextBatch(name, begun);
    if (!batch.has_value()) return;
    if (batch->lanes == 1) {
      RunBatch(name, *std::move(batch));
    } else {
      clip::RunAside(
          [this, name, shared = std::make_shared<Batch>(*std::move(batch))] {
            RunBatch(name, std::move(*shared));
          });
    }
  }
}

std::optional<EncodeQueue::Batch> EncodeQueue::NextBatch(
    const std::string& name, int begun) {
  absl::MutexLock lock(&mutex_);
  Tower& tower = towers_[name];
  const auto idle = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return tower.batches == 0;
  };
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return idle() ||
           (tower.batches < options_.lanes && tower.waiting.size() > 0);
  };
  mutex_.Await(absl::Condition(&ready));
  // Training has its turn only if no image waits then, but lanes that are never
  // idle at once would leave it no gap at all.
  const bool yields = begun >= options_.lanes && loop_->OthersWait();
  if (yields) mutex_.Await(absl::Condition(&idle));
  if (tower.waiting.size() == 0) {
    last_tower_ = name;
    last_clients_ = tower.clients;
    towers_.erase(name);
    return std::nullopt;
  }
  if (yields && Post(name)) return std::nullopt;
  const bool gathered = Gather(name, &tower);
  const size_t waiting = tower.waiting.size();
  const absl::Time now = absl::Now();
  Batch batch;
  if (tower.batches > 0 ||
      clip::KeepBusy(options_.lanes, static_cast<int64_t>(waiting))) {
    batch.lanes = options_.lanes;
  }
  const size_t full = std::max<size_t>(
      1, Full(name, tower, now) / static_cast<size_t>(batch.lanes));
  const size_t groups = static_cast<size_t>(batch.lanes) + (gathered ? 0 : 1);
  batch.images = tower.waiting.TakeBatch(now, Share(tower, groups, full), full);
  tower.running += batch.images.size();
  ++tower.batches;
  return batch;
}

bool EncodeQueue::Gather(const std::string& name, Tower* tower) {
  const ReturningClients& clients = tower->clients;
  while (clients.Expected()) {
    const size_t waiting = tower->waiting.size();
    const int batches = tower->batches;
    const size_t wanted = std::min(Full(name, *tower, absl::Now()),
                                   waiting + tower->running + clients.away());
    const size_t groups =
        batches == 0 ? 1 : static_cast<size_t>(options_.lanes);
    if (waiting * groups >= wanted) return true;
    const auto changed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return tower->waiting.size() > waiting || tower->batches < batches;
    };
    if (!mutex_.AwaitWithDeadline(absl::Condition(&changed),
                                  clients.last() + Patience(name))) {
      return false;
    }
  }
  return clients.away() == 0;
}

absl::Duration EncodeQueue::Patience(const std::string& name) const {
  const absl::Duration beside_images = 2 * times_->Of(name, options_.lanes) -
                                       times_->Of(name, 2 * options_.lanes);
  return std::max(absl::ZeroDuration(), beside_images) / 2;
}

void EncodeQueue::RunBatch(const std::string& name, Batch batch) {
  const size_t images = batch.images.size();
  std::vector<std::string> tenants;
  std::vector<std::shared_ptr<const ImageCall>> calls;
  for (const CallImage& image : batch.images) {
    tenants.push_back(image.call->request.tenant);
    calls.push_back(image.call);
  }
  const absl::Time start = absl::Now();
  bool told = false;
  encode_(std::move(batch.images), batch.lanes, [&] {
    told = true;
    Computed(name, images);
  });
  if (!told) Computed(name, images);
  const absl::Duration each =
      (absl::Now() - start) / (static_cast<int64_t>(images) * batch.lanes);
  const auto unanswered = static_cast<size_t>(
      std::count_if(calls.begin(), calls.end(),
                    [](const auto& call) { return call->remaining > 0; }));
  calls.clear();  // whoever waits for this to be idle may then go
  absl::MutexLock lock(&mutex_);
  Tower& tower = towers_[name];
  for (const std::string& tenant : tenants) {
    tower.waiting.Charge(tenant, each);
    tower.waiting.Release(tenant);
  }
  tower.clients.Unanswered(unanswered);
  --tower.batches;
}

void EncodeQueue::Computed(const std::string& name, size_t images) {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  Tower& tower = towers_[name];
  tower.clients.Answered(images, now, Patience(name));
  tower.running -= images;
}

size_t EncodeQueue::Full(const std::string& name, const Tower& tower,
                         absl::Time now) const {
  const auto full = static_cast<size_t>(BatchSize(name));
  return now < tower.mixed_until ? (full + 1) / 2 : full;
}

size_t EncodeQueue::Share(const Tower& tower, size_t groups, size_t most) {
  // Clients with so many calls under way send the next once they are answered.
  // A batch of all that wait would leave one image, the first to come back, for
  // the batch behind it, and so on in turns.
  const size_t under_way =
      tower.waiting.size() + tower.running + tower.clients.away();
  const size_t share =
      std::min({most, tower.waiting.size(), (under_way + groups - 1) / groups});
  return static_cast<size_t>(clip::PassSize(static_cast<int64_t>(share)));
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
  return found != towers_.end() && found->second.batches > 0;
}

}  // namespace promptd::worker
