#include "worker/device_loop.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/error.h"
#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

TEST(DeviceLoopTest, RunsEverythingOnOneThread) {
  DeviceLoop loop;
  std::thread::id serving;
  std::thread::id training;
  ASSERT_TRUE(loop.RunServing([&] {
                    serving = std::this_thread::get_id();
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_TRUE(loop.RunTraining([&] {
                    training = std::this_thread::get_id();
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(serving, training);
  EXPECT_NE(serving, std::this_thread::get_id());
}

TEST(DeviceLoopTest, ServingOvertakesTrainingThatWaits) {
  DeviceLoop loop;
  absl::Notification blocked;
  absl::Notification release;
  std::vector<std::string> order;
  ASSERT_TRUE(loop.PostServing([&] {
    blocked.Notify();
    release.WaitForNotification();
  }));
  blocked.WaitForNotification();
  std::atomic<bool> asked{false};
  std::thread trainer([&] {
    asked = true;
    EXPECT_TRUE(loop.RunTraining([&] {
                      order.push_back("training");
                      return absl::OkStatus();
                    })
                    .ok());
  });
  while (!asked) std::this_thread::yield();
  ASSERT_TRUE(loop.PostServing([&] { order.push_back("serving"); }));
  release.Notify();
  trainer.join();
  EXPECT_EQ(order, (std::vector<std::string>{"serving", "training"}));
}

TEST(DeviceLoopTest, ReturnsTheUnitsError) {
  DeviceLoop loop;
  EXPECT_EQ(loop.RunTraining([] { return absl::DataLossError("x"); }).code(),
            absl::StatusCode::kDataLoss);
}

TEST(DeviceLoopTest, FinishesWhatIsQueuedAndRefusesMoreAfterStop) {
  DeviceLoop loop;
  std::atomic<int> ran{0};
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(loop.PostServing([&] { ++ran; }));
  }
  loop.Stop();
  EXPECT_EQ(ran, 10);
  EXPECT_FALSE(loop.PostServing([&] { ++ran; }));
  EXPECT_EQ(ErrorReason(loop.RunTraining([] { return absl::OkStatus(); })),
            "SHUTTING_DOWN");
  EXPECT_EQ(ran, 10);
}

}  // namespace
}  // namespace promptd::worker
