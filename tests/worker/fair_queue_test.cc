#include "worker/fair_queue.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kCost = absl::Seconds(1);

class FairQueueTest : public ::testing::Test {
 protected:
  // An item is named "<tenant><call><number>".
  void Push(const std::string& tenant, char call, int items,
            Priority priority = Priority::kNormal) {
    for (int i = 0; i < items; ++i) {
      ASSERT_TRUE(queue_.Push(tenant, Key(call), priority, now_,
                              tenant + call + std::to_string(i)));
    }
  }

  // Serves so many items at one second each.
  std::vector<std::string> Serve(int items) {
    std::vector<std::string> served;
    for (int i = 0; i < items; ++i) {
      const auto item = queue_.TryPop(now_);
      if (!item.has_value()) break;
      const std::string tenant = item->substr(0, 1);
      queue_.Charge(tenant, kCost);
      queue_.Release(tenant);
      served.push_back(*item);
    }
    return served;
  }

  static const void* Key(char call) {
    static const char kKeys[256] = {};
    return &kKeys[static_cast<unsigned char>(call)];
  }

  absl::Time now_ = absl::UnixEpoch();
  FairQueue<std::string> queue_;
};

TEST_F(FairQueueTest, OneCallComesInItsOrder) {
  Push("A", 'x', 3);
  EXPECT_THAT(Serve(9), ElementsAre("Ax0", "Ax1", "Ax2"));
}

TEST_F(FairQueueTest, AFloodDoesNotHoldUpAnotherTenant) {
  Push("A", 'x', 100);
  Serve(10);
  Push("B", 'y', 2);
  // B starts level: at most one item of A comes before each of its own.
  EXPECT_THAT(Serve(4), ElementsAre("Ax10", "By0", "Ax11", "By1"));
}

TEST_F(FairQueueTest, SharesAreOfCostNotOfItems) {
  Push("A", 'x', 8);
  Push("B", 'y', 8);
  int of_a = 0;
  for (int i = 0; i < 8; ++i) {
    const std::string tenant = queue_.TryPop(now_)->substr(0, 1);
    of_a += tenant == "A" ? 1 : 0;
    queue_.Charge(tenant, tenant == "A" ? kCost * 3 : kCost);
    queue_.Release(tenant);
  }
  EXPECT_EQ(of_a, 2);
}

TEST_F(FairQueueTest, WhoWasAwayHasSavedNothingUp) {
  Push("A", 'x', 50);
  Push("B", 'y', 1);
  Serve(40);
  Push("B", 'y', 20);
  int of_b = 0;
  for (const std::string& item : Serve(20)) of_b += item[0] == 'B' ? 1 : 0;
  EXPECT_NEAR(of_b, 10, 1);
}

TEST_F(FairQueueTest, ASpenderDoesNotGetRidOfItsCostByGoing) {
  Push("A", 'x', 1);
  Push("B", 'y', 20);
  ASSERT_EQ(*queue_.TryPop(now_), "Ax0");
  queue_.Charge("A", kCost * 10);
  queue_.Release("A");
  Push("A", 'x', 20);
  const std::vector<std::string> served = Serve(10);
  for (const std::string& item : served) EXPECT_EQ(item[0], 'B') << item;
}

TEST_F(FairQueueTest, ALargeCallDoesNotHoldUpASmallOne) {
  Push("A", 'x', 100);
  Serve(1);
  Push("A", 'y', 2);
  EXPECT_THAT(Serve(4), ElementsAre("Ax1", "Ay0", "Ax2", "Ay1"));
}

TEST_F(FairQueueTest, PrioritiesAreATenantsOwn) {
  Push("A", 'x', 3, Priority::kLow);
  Push("A", 'y', 2);
  Push("A", 'z', 2, Priority::kHigh);
  EXPECT_THAT(Serve(5), ElementsAre("Az0", "Az1", "Ay0", "Ay1", "Ax0"));
  // Another tenant's normal call does not wait for high ones.
  Push("A", 'z', 50, Priority::kHigh);
  Push("B", 'y', 1);
  EXPECT_THAT(Serve(2), ::testing::Contains("By0"));
}

TEST_F(FairQueueTest, WhatWasPassedOverForLongComesNext) {
  Push("A", 'x', 2, Priority::kLow);
  Push("A", 'z', 9, Priority::kHigh);
  EXPECT_THAT(Serve(1), ElementsAre("Az0"));
  now_ += FairQueue<std::string>::kAgeing;
  EXPECT_THAT(Serve(2), ElementsAre("Ax0", "Az1"));
  now_ += FairQueue<std::string>::kAgeing;
  EXPECT_THAT(Serve(2), ElementsAre("Ax1", "Az2"));
}

TEST_F(FairQueueTest, TakenItemsOfATenantAreBounded) {
  FairQueue<std::string> bounded(2);
  for (const char* const item : {"A1", "A2", "A3"}) {
    bounded.Push("A", Key('x'), Priority::kNormal, now_, item);
  }
  bounded.Push("B", Key('y'), Priority::kNormal, now_, "B1");
  std::vector<std::string> taken;
  while (const auto item = bounded.TryPop(now_)) taken.push_back(*item);
  EXPECT_THAT(taken, ::testing::UnorderedElementsAre("A1", "A2", "B1"));
  EXPECT_EQ(bounded.size(), 1u);
  bounded.Release("A");
  EXPECT_EQ(*bounded.TryPop(now_), "A3");
}

TEST_F(FairQueueTest, TenantsThatAreAwayAreNotRememberedWithoutEnd) {
  Push("A", 'x', 1);
  for (int i = 0; i < 1000; ++i) {
    const std::string tenant = "tenant " + std::to_string(i);
    ASSERT_TRUE(queue_.Push(tenant, Key('y'), Priority::kNormal, now_, tenant));
    while (queue_.size() > 1) {
      const std::string served = *queue_.TryPop(now_);
      if (served == "Ax0") {
        Push("A", 'x', 1);
        queue_.Charge("A", kCost);
        queue_.Release("A");
        continue;
      }
      queue_.Charge(served, kCost);
      queue_.Release(served);
    }
  }
  EXPECT_LE(queue_.tenants(), FairQueue<std::string>::kTenantsRemembered + 1);
}

TEST_F(FairQueueTest, CountsWhatComesFirst) {
  EXPECT_EQ(queue_.Ahead("A", 5), 0);
  Push("A", 'x', 3);
  Push("B", 'y', 100);
  Push("C", 'z', 1);
  EXPECT_EQ(queue_.Ahead("A", 2), 3 + 5 + 1);
  EXPECT_EQ(queue_.Ahead("B", 1), 100 + 3 + 1);
  EXPECT_EQ(queue_.Ahead("D", 1), 1 + 1 + 1);
}

TEST_F(FairQueueTest, ClosesBehindWhatIsHere) {
  Push("A", 'x', 1);
  std::vector<std::string> served;
  std::thread server([&] {
    while (const auto item = queue_.Pop()) served.push_back(*item);
  });
  queue_.Close();
  server.join();
  EXPECT_THAT(served, ElementsAre("Ax0"));
  EXPECT_FALSE(queue_.Push("A", Key('x'), Priority::kNormal, now_, "too late"));
}

TEST_F(FairQueueTest, WhoWantsLittleGetsABatchOfItsOwn) {
  FairQueue<int> queue;
  const int call = 0;
  const absl::Time now = absl::Now();
  for (int i = 0; i < 10; ++i) {
    queue.Push("flood", &call, Priority::kNormal, now, i);
  }
  EXPECT_EQ(queue.TakeBatch(now, 4, 4), (std::vector<int>{0, 1, 2, 3}));
  queue.Push("a", &call, Priority::kNormal, now, 100);
  queue.Push("b", &call, Priority::kNormal, now, 200);
  queue.Charge("flood", absl::Seconds(1));
  EXPECT_EQ(queue.TakeBatch(now, 4, 4), (std::vector<int>{100, 200}));
  // When it is the flood's turn, who is behind it shares its batch.
  queue.Charge("a", absl::Seconds(2));
  queue.Push("a", &call, Priority::kNormal, now, 101);
  EXPECT_EQ(queue.TakeBatch(now, 7, 4),
            (std::vector<int>{4, 5, 6, 7, 8, 9, 101}));
  EXPECT_TRUE(queue.TakeBatch(now, 4, 4).empty());
}

}  // namespace
}  // namespace promptd::worker
