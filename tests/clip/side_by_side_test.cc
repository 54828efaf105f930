#include "clip/side_by_side.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace promptd::clip {
namespace {

class SideBySideTest : public ::testing::Test {
 protected:
  SideBySideTest() {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    at::set_num_threads(2);
  }
};

TEST_F(SideBySideTest, EachPieceRunsOnceOnAThreadThatComputesAlone) {
  constexpr int kPieces = 50;
  std::vector<std::atomic<int>> runs(kPieces);
  std::vector<int> threads(kPieces);
  std::vector<char> gradients(kPieces, true);
  std::vector<std::thread::id> where(kPieces);
  RunSideBySide(kPieces, [&](int64_t piece) {
    ++runs[piece];
    threads[piece] = at::get_num_threads();
    gradients[piece] = at::GradMode::is_enabled();
    where[piece] = std::this_thread::get_id();
  });
  for (int piece = 0; piece < kPieces; ++piece) {
    EXPECT_EQ(runs[piece], 1) << piece;
    EXPECT_EQ(threads[piece], 1) << piece;
    EXPECT_FALSE(gradients[piece]) << piece;
    EXPECT_NE(where[piece], std::this_thread::get_id()) << piece;
  }
}

TEST_F(SideBySideTest, OtherThreadsKeepTheirNumber) {
  // In a process of its own: the threads are started once.
  EXPECT_EXIT(
      {
        at::set_num_threads(3);
        RunSideBySide(2, [](int64_t) {});
        int of_a_new_thread = 0;
        std::thread([&] { of_a_new_thread = at::get_num_threads(); }).join();
        std::_Exit(at::get_num_threads() == 3 && of_a_new_thread == 3 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(SideBySideTest, TwoPiecesRunAtOnce) {
  absl::Notification first;
  absl::Notification second;
  RunSideBySide(2, [&](int64_t piece) {
    (piece == 0 ? first : second).Notify();
    (piece == 0 ? second : first).WaitForNotification();
  });
}

TEST_F(SideBySideTest, TheFirstFailureIsThrownOnceAllHaveRun) {
  std::atomic<int> runs = 0;
  try {
    RunSideBySide(6, [&](int64_t piece) {
      ++runs;
      if (piece >= 2) throw std::runtime_error(std::to_string(piece));
    });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "2");
  }
  EXPECT_EQ(runs, 6);
  RunSideBySide(2, [&](int64_t) { ++runs; });
  EXPECT_EQ(runs, 8);
}

TEST_F(SideBySideTest, CallersDoNotMixUpTheirPieces) {
  std::vector<std::thread> callers;
  std::vector<std::atomic<int>> sums(8);
  for (size_t caller = 0; caller < sums.size(); ++caller) {
    callers.emplace_back([&sums, caller] {
      for (int i = 0; i < 100; ++i) {
        RunSideBySide(3, [&](int64_t piece) { sums[caller] += 1 + piece; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const std::atomic<int>& sum : sums) EXPECT_EQ(sum, 600);
}

}  // namespace
}  // namespace promptd::clip
