// Images that wait for the device, and the batches made of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/batch_times.h"
#include "worker/device_loop.h"
#include "worker/fair_queue.h"
#include "worker/image_call.h"

namespace promptd::worker {

// An idle device never waits: a batch is posted as soon as one image is here,
// and takes all that have gathered when its turn comes, whatever task they
// belong to, in the order of fair_queue.h; as many as fit into the time that a
// batch may take, and so many that the next batch is of the same size when
// those who wait for answers come back. While images of several tenants come,
// half as many fit: who comes next waits for a shorter batch. Thread-safe.
class EncodeQueue {
 public:
  struct Options {
    int max_batch = 32;
    absl::Duration max_batch_time = absl::InfiniteDuration();
  };
  // Images of one tower, at least one.
  using Encode = std::function<void(std::vector<CallImage>)>;

  // `encode` runs on the device thread. `times` and `loop` must outlive this.
  EncodeQueue(const Options& options, const BatchTimes* times, DeviceLoop* loop,
              Encode encode)
      : options_(options),
        times_(times),
        loop_(loop),
        encode_(std::move(encode)) {}

  // Waits for the batches that are posted.
  ~EncodeQueue();
  EncodeQueue(const EncodeQueue&) = delete;
  EncodeQueue& operator=(const EncodeQueue&) = delete;

  // Returns the images that nobody will encode, as the loop has stopped.
  std::vector<CallImage> Push(CallImage image);

  // Images of the largest batch of a tower.
  int BatchSize(const std::string& tower) const {
    return times_->Largest(tower, options_.max_batch_time, options_.max_batch);
  }

  // FairQueue::Ahead of the tower's images.
  int64_t Ahead(const std::string& tower, const std::string& tenant,
                int64_t more);
  // Whether a batch of the tower is posted or runs.
  bool Busy(const std::string& tower);

 private:
  struct Tower {
    FairQueue<CallImage> waiting;
    size_t last_batch = 0;  // images of it
    std::string last_tenant;
    absl::Time mixed_until;  // images of several tenants come
    bool posted = false;
    bool running = false;
  };

  // Whether it was posted.
  bool Post(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunBatch(const std::string& name);
  // Images of the largest batch now.
  size_t Full(const std::string& name, const Tower& tower, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of the next batch, of at most `most`.
  static size_t Share(const Tower& tower, size_t most);

  const Options options_;
  const BatchTimes* const times_;
  DeviceLoop* const loop_;
  const Encode encode_;
  absl::Mutex mutex_;
  int posted_ ABSL_GUARDED_BY(mutex_) = 0;  // batches that have not ended
  std::map<std::string, Tower> towers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
