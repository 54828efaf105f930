#include "worker/encode_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"

namespace promptd::worker {

std::vector<CallImage> EncodeQueue::Push(CallImage image) {
  const std::string tower = TowerKey(image.call->request);
  image.ready = absl::Now();
  {
    absl::MutexLock lock(&mutex_);
    std::deque<CallImage>& waiting = waiting_[tower];
    waiting.push_back(std::move(image));
    // Whoever finds the queue empty posts the batch; it takes what gathers.
    if (waiting.size() > 1) return {};
  }
  if (loop_->PostServing([this, tower] { RunBatch(tower); })) return {};
  absl::MutexLock lock(&mutex_);
  std::deque<CallImage>& waiting = waiting_[tower];
  std::vector<CallImage> lost(std::make_move_iterator(waiting.begin()),
                              std::make_move_iterator(waiting.end()));
  waiting_.erase(tower);
  return lost;
}

void EncodeQueue::RunBatch(const std::string& tower) {
  std::vector<CallImage> batch;
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    std::deque<CallImage>& waiting = waiting_[tower];
    const size_t taken = std::min(waiting.size(), max_batch_);
    std::move(waiting.begin(), waiting.begin() + taken,
              std::back_inserter(batch));
    waiting.erase(waiting.begin(), waiting.begin() + taken);
    more = !waiting.empty();
    if (!more) waiting_.erase(tower);
  }
  if (more) loop_->PostServing([this, tower] { RunBatch(tower); });
  encode_(std::move(batch));
}

}  // namespace promptd::worker
