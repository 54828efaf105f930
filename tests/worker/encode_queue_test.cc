#include "worker/encode_queue.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"
#include "worker/encoder_set.h"

namespace promptd::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

using Computed = absl::FunctionRef<void()>;

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
    if (last != nullptr) {
      EXPECT_TRUE(queue->Push({.call = last}).empty());
    }
    release.Notify();
    ended_.WaitForNotification();
  }
  // Clients that come with an image each, a millisecond after the other.
  std::thread Clients(EncodeQueue* queue, size_t images) {
    return std::thread([this, queue, images] {
      for (size_t i = 0; i < images; ++i) {
        absl::SleepFor(absl::Milliseconds(1));
        queue->Push(Image());
      }
    });
  }
  // A batch takes so long beside its images, which take no time.
  void Measure(int lanes, absl::Duration beside_images) {
    times_.Measured(TowerKey(*call_), lanes, beside_images);
    times_.Measured(TowerKey(*call_), 2 * lanes, beside_images);
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
                    [&](const std::vector<CallImage>& batch, int, Computed) {
                      if (!Note(batch, 8)) return;
                      for (; away > 0; --away) to->Push(Image());
                      away = static_cast<int>(batch.size());
                    });
  to = &queue;
  Run(&queue, 1);
  EXPECT_THAT(sizes_, ElementsAre(1, 4, 4, 4, 4, 4, 4, 4));
}

TEST_F(EncodeQueueTest, BesideAnotherTenantBatchesAreHalfAsLarge) {
  EncodeQueue queue({.max_batch = 8}, &times_, &loop_,
                    [&](const std::vector<CallImage>& batch, int, Computed) {
                      Note(batch, 5);
                    });
  Run(&queue, 16, CallOf("other"));
  // The other one's image has a batch of its own once it is its turn.
  EXPECT_THAT(sizes_, UnorderedElementsAre(4, 4, 4, 4, 1));
}

TEST_F(EncodeQueueTest, ManyThatWaitFillTheLargestBatch) {
  EncodeQueue queue({.max_batch = 4}, &times_, &loop_,
                    [&](const std::vector<CallImage>& batch, int, Computed) {
                      Note(batch, 4);
                    });
  Run(&queue, 15);
  EXPECT_THAT(sizes_, ElementsAre(4, 4, 4, 3));
}

TEST_F(EncodeQueueTest, BatchesHaveSizesThatATowerTakesAtOnce) {
  EncodeQueue queue({.max_batch = 32}, &times_, &loop_,
                    [&](const std::vector<CallImage>& batch, int, Computed) {
                      Note(batch, 3);
                    });
  Run(&queue, 43);
  EXPECT_THAT(sizes_, ElementsAre(32, 10, 1));
}

TEST_F(EncodeQueueTest, WhoHasNotAllAnswersDoesNotComeBack) {
  call_->remaining = 1;
  EncodeQueue* to = nullptr;
  EncodeQueue queue({.max_batch = 32}, &times_, &loop_,
                    [&](const std::vector<CallImage>& batch, int, Computed) {
                      if (!Note(batch, 2)) return;
                      for (int i = 0; i < 7; ++i) to->Push(Image());
                    });
  to = &queue;
  Run(&queue, 1);
  EXPECT_THAT(sizes_, ElementsAre(1, 7));
}

// Clients that are quick: a batch that began with the first would have one.
TEST_F(EncodeQueueTest, WhoComesBackAtOnceIsWaitedFor) {
  constexpr size_t kBatches = 60;
  Measure(1, absl::Seconds(4));
  std::vector<std::thread> clients;
  EncodeQueue* to = nullptr;
  EncodeQueue queue(
      {.max_batch = 32}, &times_, &loop_,
      [&](const std::vector<CallImage>& batch, int, Computed computed) {
        absl::SleepFor(absl::Milliseconds(30));
        if (!Note(batch, kBatches)) return;
        computed();
        // One is back before the batch is over.
        to->Push(Image());
        clients.push_back(Clients(to, batch.size() - 1));
      });
  to = &queue;
  Run(&queue, 16);
  for (std::thread& client : clients) client.join();
  // It takes some rounds to know that they do. Otherwise each batch of 16 has
  // one of 1 behind it.
  int pairs = 0;
  for (size_t i = 1; i < sizes_.size(); ++i) {
    pairs += sizes_[i - 1] == 16 && sizes_[i] == 16 ? 1 : 0;
  }
  EXPECT_GE(pairs, 15);
}

// Threads of the device, two at least, each with a batch of its own.
class LanesTest : public EncodeQueueTest {
 protected:
  LanesTest() { at::set_num_threads(2); }
};

TEST_F(LanesTest, ALaneThatIsDoneWaitsForNoOther) {
  absl::Notification others;
  std::atomic<int> batches = 0;
  EncodeQueue queue(
      {.max_batch = 4, .lanes = 2}, &times_, &loop_,
      [&](const std::vector<CallImage>& batch, int lanes, Computed) {
        EXPECT_EQ(lanes, 2);
        EXPECT_EQ(batch.size(), 2u);
        EXPECT_EQ(at::get_num_threads(), 1);
        const int number = ++batches;
        if (number == 1) {
          EXPECT_TRUE(others.WaitForNotificationWithTimeout(absl::Seconds(30)));
          ended_.Notify();
        }
        if (number == 8) others.Notify();
      });
  Run(&queue, 16);
}

// Lanes that are done at the same time wait for all clients of both.
TEST_F(LanesTest, LanesThatWaitBeginTogether) {
  constexpr size_t kBatches = 120;
  constexpr absl::Duration kLength = absl::Milliseconds(30);
  Measure(2, absl::Milliseconds(400));
  absl::Mutex mutex;
  std::vector<std::pair<absl::Time, size_t>> begun;  // images, by batch
  std::vector<std::thread> clients;
  EncodeQueue* to = nullptr;
  EncodeQueue queue(
      {.max_batch = 32, .lanes = 2}, &times_, &loop_,
      [&](const std::vector<CallImage>& batch, int, Computed computed) {
        const absl::Time start = absl::Now();
        absl::SleepFor(kLength - (start - absl::UnixEpoch()) % kLength);
        absl::MutexLock lock(&mutex);
        begun.emplace_back(start, batch.size());
        if (begun.size() == kBatches) ended_.Notify();
        computed();
        if (begun.size() > kBatches - 2) return;
        clients.push_back(Clients(to, batch.size()));
      });
  to = &queue;
  Run(&queue, 16);
  for (std::thread& client : clients) client.join();
  std::sort(begun.begin(), begun.end());
  // It takes a while to know that they do; otherwise it is hardly ever so.
  int together = 0;
  for (size_t i = 1; i < begun.size(); ++i) {
    if (begun[i - 1].second == 8 && begun[i].second == 8 &&
        begun[i].first - begun[i - 1].first < absl::Milliseconds(5)) {
      ++together;
    }
  }
  EXPECT_GE(together, 20);
}

TEST_F(LanesTest, OneImageHasTheWholeDevice) {
  EncodeQueue queue(
      {.lanes = 2}, &times_, &loop_,
      [&](const std::vector<CallImage>& batch, int lanes, Computed) {
        EXPECT_EQ(lanes, 1);
        Note(batch, 1);
      });
  Run(&queue, 1);
}

// Images come for ever; a unit that needs the whole device gets it.
TEST_F(LanesTest, SomethingElseHasTheDeviceBetweenTheBatches) {
  EncodeQueue* to = nullptr;
  std::atomic<bool> enough = false;
  std::atomic<int> running = 0;
  std::atomic<int> batches = 0;
  EncodeQueue queue({.lanes = 2}, &times_, &loop_,
                    [&](const std::vector<CallImage>& batch, int, Computed) {
                      ++running;
                      if (++batches == 10) ended_.Notify();
                      absl::SleepFor(absl::Milliseconds(1));
                      for (size_t i = 0; i < batch.size() && !enough; ++i) {
                        EXPECT_TRUE(to->Push(Image()).empty());
                      }
                      --running;
                    });
  to = &queue;
  Run(&queue, 8);
  for (int i = 0; i < 20; ++i) {
    const absl::Status ran = loop_.RunServing([&] {
      EXPECT_EQ(running, 0);
      return absl::OkStatus();
    });
    EXPECT_TRUE(ran.ok()) << ran;
  }
  const int before = batches;
  while (batches < before + 10) absl::SleepFor(absl::Milliseconds(1));
  enough = true;
}

// Otherwise two clients whose calls overlap leave training no gap at all.
TEST_F(LanesTest, WhileTrainingWaitsTheLanesBeginTogether) {
  absl::Notification end[3];
  std::atomic<int> begun = 0;
  std::atomic<int> running = 0;
  EncodeQueue queue({.max_batch = 2, .lanes = 2}, &times_, &loop_,
                    [&](const std::vector<CallImage>&, int, Computed) {
                      ++running;
                      const int number = begun++;
                      if (number == 1) ended_.Notify();
                      end[number].WaitForNotification();
                      --running;
                    });
  Run(&queue, 2);
  std::thread training([&] {
    const absl::Status ran = loop_.RunTraining([&] {
      EXPECT_EQ(begun, 3);
      EXPECT_EQ(running, 0);
      return absl::OkStatus();
    });
    EXPECT_TRUE(ran.ok()) << ran;
  });
  while (!loop_.OthersWait()) absl::SleepFor(absl::Milliseconds(1));
  end[0].Notify();
  EXPECT_TRUE(queue.Push(Image()).empty());
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(begun, 2);
  end[1].Notify();
  while (begun < 3) absl::SleepFor(absl::Milliseconds(1));
  end[2].Notify();
  training.join();
}

}  // namespace
}  // namespace promptd::worker
