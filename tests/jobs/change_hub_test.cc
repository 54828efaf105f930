#include "jobs/change_hub.h"

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::ElementsAre;

TEST(ChangeHubTest, AChangeBetweenLookingAndWaitingIsNotMissed) {
  ChangeHub hub;
  const uint64_t seen = hub.ChangeCount();
  hub.NotifyJob(1);
  EXPECT_TRUE(hub.WaitForChange(seen, absl::InfiniteFuture()));
  EXPECT_FALSE(hub.WaitForChange(hub.ChangeCount(), absl::Now()));
}

TEST(ChangeHubTest, ListenersHearUntilTheyLeave) {
  ChangeHub hub;
  std::vector<int64_t> heard;
  auto subscription = hub.Subscribe([&](int64_t job) { heard.push_back(job); });
  hub.NotifyJob(3);
  hub.NotifyJob(4);
  subscription.reset();
  hub.NotifyJob(5);
  EXPECT_THAT(heard, ElementsAre(3, 4));
}

using JobWaitTest = JobStoreFixture;

TEST_F(JobWaitTest, AWatcherIsWokenByTheCommitOfAnEvent) {
  const int64_t id = Create().id;
  absl::Notification watching;
  std::thread watcher([&]() {
    watching.Notify();
    const auto more =
        jobs_->WaitForEvents("default", id, 1, absl::InfiniteFuture());
    ASSERT_TRUE(more.ok()) << more.status();
    EXPECT_TRUE(*more);
    EXPECT_GE(Get(id).last_sequence, 2);
  });
  watching.WaitForNotification();
  Lease();
  watcher.join();
}

TEST_F(JobWaitTest, WaitingEndsAtTheDeadlineAndWithTheJob) {
  const int64_t id = Create().id;
  EXPECT_TRUE(*jobs_->WaitForEvents("default", id, 0, absl::Now()));
  EXPECT_FALSE(*jobs_->WaitForEvents("default", id, 1, absl::Now()));
  ASSERT_TRUE(jobs_->RequestCancel("default", id).ok());
  EXPECT_FALSE(*jobs_->WaitForEvents("default", id, 2, absl::InfiniteFuture()));
  EXPECT_EQ(
      ErrorReason(jobs_->WaitForEvents("default", 99, 0, absl::Now()).status()),
      "JOB_NOT_FOUND");
}

TEST_F(JobWaitTest, ANewJobIsHeardOfOnlyAfterItsCommit) {
  std::vector<int64_t> heard;
  const auto subscription =
      jobs_->Subscribe([&](int64_t job) { heard.push_back(job); });
  EXPECT_FALSE(db_->Write([&](store::Transaction& tx) {
                    EXPECT_TRUE(jobs_->Create(tx, SomeJob()).ok());
                    return absl::CancelledError("no");
                  })
                   .ok());
  EXPECT_TRUE(heard.empty());
  const int64_t id = Create().id;
  EXPECT_THAT(heard, ElementsAre(id));
}

TEST(ChangeHubTest, WorkListenersHearOfWorkUntilTheyGo) {
  ChangeHub hub;
  int heard = 0;
  auto subscription = hub.SubscribeWork([&heard] { ++heard; });
  hub.NotifyJob(1);
  EXPECT_EQ(heard, 0);
  hub.NotifyWork();
  EXPECT_EQ(heard, 1);
  subscription.reset();
  hub.NotifyWork();
  EXPECT_EQ(heard, 1);
}

}  // namespace
}  // namespace promptd::jobs
