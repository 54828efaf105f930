#include "worker/lease_keeper.h"

#include <thread>

#include "common/error.h"
#include "common/monotonic.h"
#include "gtest/gtest.h"
#include "tests/worker/fake_control.h"

namespace promptd::worker {
namespace {

constexpr LeaseKeeper::Options kFast = {.interval = absl::Milliseconds(1),
                                        .stall_timeout = absl::Seconds(60)};

// Polls Check() until it is not OK or ten seconds have passed.
absl::Status WaitForVerdict(LeaseKeeper* keeper) {
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  while (absl::Now() < limit) {
    const absl::Status status = keeper->Check();
    if (!status.ok()) return status;
    std::this_thread::yield();
  }
  return absl::OkStatus();
}

class LeaseKeeperTest : public ::testing::Test {
 protected:
  LeaseKeeperTest() {
    control_.Enqueue(TrainingSpec());
    job_ = **control_.Lease("w", {}, absl::ZeroDuration());
  }

  FakeControl control_;
  LeasedJob job_;
};

TEST_F(LeaseKeeperTest, PassesCancelAndPauseOn) {
  control_.SetDirective(Directive::kCancel);
  LeaseKeeper cancelled(kFast, &control_, job_.id, job_.fence,
                        MonotonicNanoseconds());
  EXPECT_EQ(ErrorReason(WaitForVerdict(&cancelled)), "JOB_CANCELLED");
  control_.SetDirective(Directive::kPause);
  LeaseKeeper paused(kFast, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds());
  EXPECT_EQ(ErrorReason(WaitForVerdict(&paused)), "JOB_PAUSED");
  control_.SetDirective(Directive::kSaveAndCancel);
  LeaseKeeper saving(kFast, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds());
  EXPECT_EQ(ErrorReason(WaitForVerdict(&saving)), "JOB_CANCELLED_LATER");
}

TEST_F(LeaseKeeperTest, StopsTheJobWhenTheFenceIsStale) {
  LeaseKeeper keeper(kFast, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds());
  EXPECT_TRUE(keeper.Check().ok());
  control_.LoseLease();
  EXPECT_EQ(ErrorReason(WaitForVerdict(&keeper)), "LEASE_LOST");
}

TEST_F(LeaseKeeperTest, AHungTrainerSendsNoHeartbeats) {
  LeaseKeeper::Options options = kFast;
  options.stall_timeout = absl::ZeroDuration();  // hung from the start
  control_.SetDirective(Directive::kCancel);
  LeaseKeeper keeper(options, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds());
  // Beats at 1 ms would have carried the directive here long ago.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(keeper.Check().ok());
}

TEST_F(LeaseKeeperTest, ALeaseThatCannotBeProvenIsGivenUp) {
  LeaseKeeper::Options options = kFast;
  options.interval = absl::Seconds(60);  // no heartbeat comes in time
  options.lease = absl::Milliseconds(100);
  LeaseKeeper keeper(options, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds());
  EXPECT_TRUE(keeper.Check().ok());
  const absl::Status lost = WaitForVerdict(&keeper);
  EXPECT_EQ(lost.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ErrorReason(lost), "LEASE_LOST");
}

TEST_F(LeaseKeeperTest, TheLeaseCountsFromWhenItWasAskedFor) {
  LeaseKeeper::Options options = kFast;
  options.interval = absl::Seconds(60);
  options.lease = absl::Seconds(10);
  // A process that was stopped between asking and being answered.
  LeaseKeeper keeper(options, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds() - 9'000'000'000);
  EXPECT_EQ(ErrorReason(keeper.Check()), "LEASE_LOST");
}

TEST_F(LeaseKeeperTest, HeartbeatsProveTheLease) {
  LeaseKeeper::Options options = kFast;
  options.lease = absl::Milliseconds(200);
  LeaseKeeper keeper(options, &control_, job_.id, job_.fence,
                     MonotonicNanoseconds());
  const absl::Time limit = absl::Now() + absl::Milliseconds(600);
  while (absl::Now() < limit) {
    ASSERT_TRUE(keeper.Check().ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace
}  // namespace promptd::worker
