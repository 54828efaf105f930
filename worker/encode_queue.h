// Images that wait for the device, and the batches made of them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/device_loop.h"
#include "worker/image_call.h"

namespace promptd::worker {

// An idle device never waits: a batch is posted as soon as one image is here,
// and takes all that have gathered when its turn comes, whatever task they
// belong to. Thread-safe.
class EncodeQueue {
 public:
  // Images of one tower, at least one.
  using Encode = std::function<void(std::vector<CallImage>)>;

  // `encode` runs on the device thread. `loop` must outlive this, and this
  // every batch.
  EncodeQueue(int max_batch, DeviceLoop* loop, Encode encode)
      : max_batch_(max_batch), loop_(loop), encode_(std::move(encode)) {}

  // Returns the images that nobody will encode, as the loop has stopped.
  std::vector<CallImage> Push(CallImage image);

 private:
  void RunBatch(const std::string& tower);

  const size_t max_batch_;
  DeviceLoop* const loop_;
  const Encode encode_;
  absl::Mutex mutex_;
  // By tower, waiting for the posted batch.
  std::map<std::string, std::deque<CallImage>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
