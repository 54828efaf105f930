// What a device, a queue or a job that fails at any step costs a worker.
#include <string>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/monotonic.h"
#include "gmock/gmock.h"
#include "tests/testing/scoped_failpoints.h"
#include "tests/worker/worker_fixture.h"
#include "worker/lease_keeper.h"

namespace promptd::worker {
namespace {

using testing::ScopedFailpoints;

class WorkerFailuresTest : public WorkerFixture {
 protected:
  ClassifyCall Call(const LocalWorker& worker) {
    ClassifyCall call = ZeroShotCall(worker, {Image("jpeg_420.jpeg")});
    call.no_cache = true;
    return call;
  }
};

TEST_F(WorkerFailuresTest, AnAnswerThatIsLateIsNoAnswer) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  ASSERT_TRUE(Classify(worker.get(), Call(*worker)).ok());
  const ScopedFailpoints slow("classify.reply=pause(4s)@1");
  ClassifyCall call = Call(*worker);
  call.deadline = absl::Now() + absl::Seconds(3);
  const auto late = Classify(worker.get(), call);
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ErrorReason(late.status()), "DEADLINE_EXPIRED");
  EXPECT_EQ(slow.fired("classify.reply"), 1);
}

TEST_F(WorkerFailuresTest, ADeviceThatBecameSlowTurnsCallsAwayAtOnce) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const ScopedFailpoints slow("classify.batch=pause(4s)@1");
  ASSERT_TRUE(Classify(worker.get(), Call(*worker)).ok());
  EXPECT_EQ(slow.fired("classify.batch"), 1);
  const absl::Time start = absl::Now();
  ClassifyCall call = Call(*worker);
  call.deadline = start + absl::Milliseconds(500);
  const auto refused = Classify(worker.get(), call);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ErrorReason(refused.status()), "DEADLINE_UNMEETABLE");
  EXPECT_EQ(slow.passed("classify.batch"), 1) << "it was computed all the same";
}

TEST_F(WorkerFailuresTest, ATenantWhoseImagesAreSlowHoldsUpNobodyElse) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const ScopedFailpoints slow("classify.decode=pause(100ms)");
  ClassifyCall flood = Call(*worker);
  flood.tenant = "flood";
  flood.images.assign(60, flood.images.front());
  absl::Notification flooded;
  worker->Classify(std::move(flood),
                   [&](const auto& /*outcome*/) { flooded.Notify(); });
  ClassifyCall call = Call(*worker);
  call.tenant = "other";
  EXPECT_TRUE(Classify(worker.get(), call).ok());
  EXPECT_FALSE(flooded.HasBeenNotified());
  flooded.WaitForNotification();
  EXPECT_GE(slow.fired("classify.decode"), 61);
}

TEST_F(WorkerFailuresTest, AJobThatFailsSaysWhyAndTheNextOneRuns) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const TrainingSpec spec = AddDataset(*worker);
  const ScopedFailpoints fail("training.step=error(UNAVAILABLE)@2");
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)).substr(0, 17),
            "failed: FAILPOINT");
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)), "published");
}

TEST(LeaseFailuresTest, HeartbeatsThatAreLostEndTheJobBeforeItsLease) {
  FakeControl control;
  control.Enqueue(TrainingSpec());
  const LeasedJob job = **control.Lease("w", {}, absl::ZeroDuration());
  const ScopedFailpoints lost("lease.heartbeat=error(UNAVAILABLE)@3+");
  const absl::Duration lease = absl::Milliseconds(500);
  const absl::Time start = absl::Now();
  LeaseKeeper keeper({.interval = absl::Milliseconds(10),
                      .lease = lease,
                      .stall_timeout = absl::Seconds(60)},
                     &control, job.id, job.fence, MonotonicNanoseconds());
  while (keeper.Check().ok() && absl::Now() - start < absl::Seconds(10)) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(ErrorReason(keeper.Check()), "LEASE_LOST");
  EXPECT_GE(lost.fired("lease.heartbeat"), 1);
}

}  // namespace
}  // namespace promptd::worker
