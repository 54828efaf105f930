#include "worker/device_loop.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
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

TEST(DeviceLoopTest, ATurnOfTrainingGoesOnUntilItIsDone) {
  DeviceLoop loop;
  int units = 0;
  EXPECT_TRUE(loop.RunTrainingTurn(
                      [&]() -> absl::StatusOr<bool> { return ++units < 3; })
                  .ok());
  EXPECT_EQ(units, 3);
  EXPECT_EQ(loop.RunTrainingTurn([&]() -> absl::StatusOr<bool> {
                  ++units;
                  return absl::DataLossError("x");
                })
                .code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(units, 4);
}

TEST(DeviceLoopTest, ATurnOfTrainingEndsWhenSomethingWaits) {
  DeviceLoop loop;
  std::vector<std::string> order;
  const auto unit = [&]() -> absl::StatusOr<bool> {
    order.push_back("training");
    if (order.size() == 2) {
      EXPECT_TRUE(loop.PostServing([&] { order.push_back("serving"); }));
    }
    return order.size() < 5;
  };
  EXPECT_TRUE(loop.RunTrainingTurn(unit).ok());
  EXPECT_TRUE(loop.RunTrainingTurn(unit).ok());
  EXPECT_EQ(order, (std::vector<std::string>{"training", "training", "serving",
                                             "training", "training"}));
}

TEST(DeviceLoopTest, ATurnOfTrainingEndsWithItsTime) {
  DeviceLoop loop;
  int units = 0;
  EXPECT_TRUE(loop.RunTrainingTurn([&]() -> absl::StatusOr<bool> {
                    ++units;
                    absl::SleepFor(absl::Milliseconds(60));
                    return true;
                  })
                  .ok());
  EXPECT_EQ(units, 1);
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
