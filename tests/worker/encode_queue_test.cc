#include "worker/encode_queue.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "clip/encoder.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"
#include "worker/encoder_set.h"

namespace promptd::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// A device whose batches are only counted.
class EncodeQueueTest : public WorkerFixture {
 protected:
  EncodeQueueTest() : call_(std::make_shared<ImageCall>()) {
    auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                     clip::EncoderOptions());
    EXPECT_TRUE(encoders.ok()) << encoders.status();
    call_->encoder = *encoders->Find(encoders->digests()[0]);
    call_->image_encoder = call_->encoder;
    call_->request.tenant = "t";
  }
  ~EncodeQueueTest() override { loop_.Stop(); }

  CallImage Image() { return {.call = call_}; }
  std::shared_ptr<ImageCall> CallOf(const std::string& tenant) {
    auto call = std::make_shared<ImageCall>();
    call->encoder = call->image_encoder = call_->encoder;
    call->request.tenant = tenant;
    return call;
  }
  // Holds the device, pushes, the image of `last` behind the others, lets go,
  // and waits for the last batch.
  void Run(EncodeQueue* queue, int images,
           const std::shared_ptr<ImageCall>& last = nullptr) {
    absl::Notification held, release;
    loop_.PostServing([&] {
      held.Notify();
      release.WaitForNotification();
    });
    held.WaitForNotification();
    for (int i = 0; i < images; ++i) EXPECT_TRUE(queue->Push(Image()).empty());
    if (last != nullptr) EXPECT_TRUE(queue->Push({.call = last}).empty());
    release.Notify();
    ended_.WaitForNotification();
  }
  // Notes a batch; false once there were `most`, of which the last ends Run().
  bool Note(const std::vector<CallImage>& batch, size_t most) {
    if (sizes_.size() == most) return false;
    sizes_.push_back(batch.size());
    if (sizes_.size() == most) ended_.Notify();
    return sizes_.size() < most;
  }

  const std::shared_ptr<ImageCall> call_;
  BatchTimes times_;
  DeviceLoop loop_;
  absl::Notification ended_;
  std::vector<size_t> sizes_;
};

// Eight clients that send the next image once the last one is answered: its
// answer comes after the batch, so that they are back during the next one.
TEST_F(EncodeQueueTest, ClientsThatComeBackFindBatchesOfOneSize) {
  int away = 7;
  EncodeQueue* to = nullptr;
  EncodeQueue queue({.max_batch = 32}, &times_, &loop_,
                    [&](std::vector<CallImage> batch) {
                      if (!Note(batch, 8)) return;
                      for (; away > 0; --away) to->Push(Image());
                      away = static_cast<int>(batch.size());
                    });
  to = &queue;
  Run(&queue, 1);
  EXPECT_THAT(sizes_, ElementsAre(1, 4, 4, 4, 4, 4, 4, 4));
}

TEST_F(EncodeQueueTest, BesideAnotherTenantBatchesAreHalfAsLarge) {
  EncodeQueue queue(
      {.max_batch = 8}, &times_, &loop_,
      [&](const std::vector<CallImage>& batch) { Note(batch, 5); });
  Run(&queue, 16, CallOf("other"));
  // The other one's image has a batch of its own once it is its turn.
  EXPECT_THAT(sizes_, UnorderedElementsAre(4, 4, 4, 4, 1));
}

TEST_F(EncodeQueueTest, ManyThatWaitFillTheLargestBatch) {
  EncodeQueue queue(
      {.max_batch = 4}, &times_, &loop_,
      [&](const std::vector<CallImage>& batch) { Note(batch, 4); });
  Run(&queue, 15);
  EXPECT_THAT(sizes_, ElementsAre(4, 4, 4, 3));
}

}  // namespace
}  // namespace promptd::worker
