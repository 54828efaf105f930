// Images that wait for the device, and the batches made of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/batch_times.h"
#include "worker/device_loop.h"
#include "worker/fair_queue.h"
#include "worker/image_call.h"
#include "worker/returning_clients.h"

namespace promptd::worker {

// A turn on the device is posted as soon as one image is here, and each batch
// takes of all that have gathered when it begins, whatever task they belong to,
// in the order of fair_queue.h; as many as fit into the time that a batch may
// take, and so many that the next batch is of the same size when those who wait
// for answers come back, rounded down to a size that a tower takes at once
// (clip/pass_size.h). While images of several tenants come, half as many fit:
// who comes next waits for a shorter batch. A batch begins at once but where it
// gains by waiting for clients that come back at once (Gather).
//
// The threads of a processor are lanes: each takes a batch of its own through
// the tower and the next one when it is done, and waits for no other. Only when
// there are too few images to keep the lanes busy do all threads share a batch,
// operator by operator. Thread-safe.
class EncodeQueue {
 public:
  struct Options {
    int max_batch = 32;  // of the whole device
    absl::Duration max_batch_time = absl::InfiniteDuration();
    int lanes = 1;  // 1: every batch has the whole device
  };
  // Images of one tower, at least one, and the lanes that the device has
  // meanwhile: 1 if the batch has all of it. Calls `computed` once at most,
  // before it answers.
  using Encode = std::function<void(std::vector<CallImage>, int lanes,
                                    absl::FunctionRef<void()> computed)>;

  // `encode` runs on the device thread, or on those of clip/side_by_side.h.
  // `times` and `loop` must outlive this.
  EncodeQueue(const Options& options, const BatchTimes* times, DeviceLoop* loop,
              Encode encode)
      : options_(options),
        times_(times),
        loop_(loop),
        encode_(std::move(encode)) {}

  // Waits for the turns that are posted.
  ~EncodeQueue();
  EncodeQueue(const EncodeQueue&) = delete;
  EncodeQueue& operator=(const EncodeQueue&) = delete;

  // Returns the images that nobody will encode, as the loop has stopped.
  std::vector<CallImage> Push(CallImage image);

  // Images of the largest batch of a tower that has the whole device.
  int BatchSize(const std::string& tower) const {
    return times_->Largest(tower, options_.max_batch_time, options_.max_batch);
  }

  // FairQueue::Ahead of the tower's images.
  int64_t Ahead(const std::string& tower, const std::string& tenant,
                int64_t more);
  // Whether a batch of the tower runs.
  bool Busy(const std::string& tower);

 private:
  struct Batch {
    std::vector<CallImage> images;
    int lanes = 1;
  };
  struct Tower {
    FairQueue<CallImage> waiting;
    ReturningClients clients;
    size_t running = 0;  // images
    int batches = 0;     // that run
    std::string last_tenant;
    absl::Time mixed_until;  // images of several tenants come
  };

  // Whether a turn was posted.
  bool Post(const std::string& name);
  // On the device thread: batches until no image waits, or something else does
  // and each lane has had one.
  void RunTurn(const std::string& name);
  // Waits for a lane; nothing once the turn, which has begun so many batches,
  // is over and they have ended.
  std::optional<Batch> NextBatch(const std::string& name, int begun);
  // Where clients come back at once (returning_clients.h), waits for them until
  // as many images are here as a lane's part of all that are under way, or all
  // of them if no lane is busy, so that the lanes begin together. Whether they
  // are here: a batch that does not wait takes who came first, and what a batch
  // costs beside its images is paid for few.
  bool Gather(const std::string& name, Tower* tower)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // How long after the last one an image that comes back is waited for: half of
  // what a batch costs beside its images.
  absl::Duration Patience(const std::string& name) const;
  void RunBatch(const std::string& name, Batch batch);
  // So many images of a batch are about to be answered.
  void Computed(const std::string& name, size_t images);
  // Images of the largest batch of the whole device now.
  size_t Full(const std::string& name, const Tower& tower, absl::Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Images of the next batch, at least one waits, of at most `most`, where all
  // that are under way are in so many groups.
  static size_t Share(const Tower& tower, size_t groups, size_t most);

  const Options options_;
  const BatchTimes* const times_;
  DeviceLoop* const loop_;
  const Encode encode_;
  absl::Mutex mutex_;
  // Those of which a turn waits or runs.
  std::map<std::string, Tower> towers_ ABSL_GUARDED_BY(mutex_);
  // The tower whose turn ended last, and its clients.
  std::string last_tower_ ABSL_GUARDED_BY(mutex_);
  ReturningClients last_clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
