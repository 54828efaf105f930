// Leases and fences: who may write to a job, and what happens to those who
// vanish.
#include <atomic>
#include <set>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::ElementsAre;

using JobLeasesTest = JobStoreFixture;

TEST_F(JobLeasesTest, TheOldestDueJobOfAHeldEncoderIsLeased) {
  NewJob elsewhere = SomeJob();
  elsewhere.encoder_digest = "e9";
  Create(elsewhere);
  const Job first = Create();
  clock_.Advance(absl::Seconds(1));
  const Job second = Create();
  const Job leased = Lease("w7");
  EXPECT_EQ(leased.id, first.id);
  EXPECT_EQ(leased.state, JobState::kRunning);
  EXPECT_EQ(leased.owner, "w7");
  EXPECT_EQ(leased.attempt, 1);
  EXPECT_EQ(leased.fence, 1);
  EXPECT_EQ(leased.start_time, clock_.Now());
  EXPECT_EQ(leased.lease_expires, clock_.Now() + kLease);
  EXPECT_EQ(Lease().id, second.id);
  EXPECT_EQ(Lease().id, 0);
  EXPECT_FALSE(jobs_->Lease({"w1", {}, kLease})->has_value());
}

TEST_F(JobLeasesTest, ManyThreadsLeaseEveryJobOnce) {
  constexpr int kJobs = 200;
  for (int i = 0; i < kJobs; ++i) Create();
  std::atomic<int> leases = 0;
  absl::Mutex mutex;
  std::set<int64_t> ids;
  const auto work = [&]() {
    for (Job job = Lease(); job.id != 0; job = Lease()) {
      ++leases;
      const absl::MutexLock lock(&mutex);
      ids.insert(job.id);
    }
  };
  std::thread one(work);
  std::thread two(work);
  one.join();
  two.join();
  EXPECT_EQ(leases, kJobs);
  EXPECT_EQ(ids.size(), static_cast<size_t>(kJobs));
}

TEST_F(JobLeasesTest, EveryWriteUnderAStaleFenceIsRefused) {
  const int64_t id = Create().id;
  const int64_t stale = Lease("w1").fence;
  clock_.Advance(kLease + absl::Seconds(1));
  ASSERT_EQ(*jobs_->ExpireLeases(), 1);
  const int64_t fence = Lease("w2").fence;
  EXPECT_EQ(fence, stale + 1);
  const absl::Status error = absl::InternalError("late");
  for (const absl::Status& status :
       {jobs_->Heartbeat(id, stale, kLease).status(),
        jobs_->ReportProgress(id, stale, "{}"),
        jobs_->SaveCheckpoint(id, stale, {"c1"}),
        jobs_->Fail(id, stale, error, true).status(),
        jobs_->Fail(id, stale, error, false).status(),
        jobs_->ConfirmCancel(id, stale), jobs_->ConfirmPause(id, stale),
        jobs_->Release(id, stale), Complete(id, stale, 1),
        db_->Read([&](store::Transaction& tx) {
          return jobs_->GetLeased(tx, id, stale).status();
        })}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
    EXPECT_EQ(ErrorReason(status), "LEASE_LOST") << status;
  }
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kRunning);
  EXPECT_EQ(job.owner, "w2");
  EXPECT_EQ(job.checkpoint_digest, "");
  EXPECT_TRUE(jobs_->Heartbeat(id, fence, kLease).ok());
  EXPECT_TRUE(Complete(id, fence, 1).ok());
  EXPECT_EQ(ErrorReason(Complete(id, fence, 2)), "LEASE_LOST");
}

TEST_F(JobLeasesTest, AnUnknownJobIsALostLeaseToo) {
  EXPECT_EQ(ErrorReason(jobs_->Heartbeat(99, 1, kLease).status()),
            "LEASE_LOST");
}

TEST_F(JobLeasesTest, HeartbeatsKeepTheLease) {
  const int64_t id = Create().id;
  const int64_t fence = Lease().fence;
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(10));
    ASSERT_TRUE(jobs_->Heartbeat(id, fence, kLease).ok());
    EXPECT_EQ(*jobs_->ExpireLeases(), 0);
  }
  clock_.Advance(kLease + absl::Milliseconds(1));
  EXPECT_EQ(*jobs_->ExpireLeases(), 1);
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kQueued);
  EXPECT_EQ(job.lost, 1);
  EXPECT_EQ(job.attempt, 0);
}

TEST_F(JobLeasesTest, AJobThatLosesItsWorkerThreeTimesInARowIsSetAside) {
  const int64_t id = Create().id;
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(Lease().id, id);
    clock_.Advance(kLease * 2);
    ASSERT_EQ(*jobs_->ExpireLeases(), 1);
  }
  const Job job = Get(id);
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.error_reason, "WORKER_LOST");
  EXPECT_THAT(Outcomes(id), ElementsAre("lost", "lost", "lost"));
}

TEST_F(JobLeasesTest, ANewCheckpointIsProgressAndTheSameOneIsNot) {
  const int64_t id = Create().id;
  for (int round = 0; round < 6; ++round) {
    const Job leased = Lease();
    ASSERT_EQ(leased.id, id) << round;
    EXPECT_EQ(leased.attempt, 1);
    ASSERT_TRUE(
        jobs_->SaveCheckpoint(id, leased.fence, {"c" + std::to_string(round)})
            .ok());
    ASSERT_EQ(*jobs_->RequeueRunningOf("w1"), 1);
  }
  EXPECT_EQ(Get(id).checkpoint_digest, "c5");
  for (int round = 0; round < 2; ++round) {
    const Job leased = Lease();
    ASSERT_EQ(leased.checkpoint_digest, "c5");
    ASSERT_TRUE(jobs_->SaveCheckpoint(id, leased.fence, {"c5"}).ok());
    ASSERT_EQ(*jobs_->RequeueRunningOf("w1"), 1);
  }
  EXPECT_EQ(Get(id).error_reason, "WORKER_LOST");
}

TEST_F(JobLeasesTest, ARestartRequeuesRunningJobsAtOnce) {
  const int64_t id = Create().id;
  const Job leased = Lease();
  ASSERT_TRUE(jobs_->SaveCheckpoint(id, leased.fence, {"c1"}).ok());
  Open({});
  ASSERT_EQ(*jobs_->RequeueRunningOf("w1"), 1);
  const Job again = Lease();
  EXPECT_EQ(again.id, id);
  EXPECT_EQ(again.attempt, 1);
  EXPECT_EQ(again.fence, leased.fence + 1);
  EXPECT_EQ(again.checkpoint_digest, "c1");
  EXPECT_EQ(again.start_time, leased.start_time);
}

TEST_F(JobLeasesTest, ARestartLeavesTheJobsOfWorkersElsewhereAlone) {
  const int64_t mine = Create().id;
  const int64_t theirs = Create().id;
  Lease("local");
  const Job elsewhere = Lease("w2");
  Open({});
  clock_.Advance(kLease * 2);  // the front end was down for long
  EXPECT_EQ(*jobs_->RequeueRunningOf("local"), 1);
  EXPECT_EQ(*jobs_->ExtendLeases(kLease), 1);
  EXPECT_EQ(Get(mine).state, JobState::kQueued);
  EXPECT_EQ(Get(theirs).state, JobState::kRunning);
  EXPECT_EQ(*jobs_->ExpireLeases(), 0);
  EXPECT_TRUE(jobs_->Heartbeat(theirs, elsewhere.fence, kLease).ok());
  // A lease that is longer than that is not cut short.
  ASSERT_TRUE(jobs_->Heartbeat(theirs, elsewhere.fence, kLease * 4).ok());
  EXPECT_EQ(*jobs_->ExtendLeases(kLease), 0);
}

TEST_F(JobLeasesTest, AWorkerThatIsGoneLosesItsLeaseAtOnce) {
  const int64_t id = Create().id;
  const Job leased = Lease();
  ASSERT_TRUE(jobs_->SaveCheckpoint(id, leased.fence, {"c1"}).ok());
  ASSERT_TRUE(jobs_->LoseLease(id, leased.fence).ok());
  EXPECT_EQ(Get(id).state, JobState::kQueued);
  const Job again = Lease("w2");
  EXPECT_EQ(again.checkpoint_digest, "c1");
  EXPECT_EQ(again.attempt, 1);
  // Not the successor's, and not twice.
  ASSERT_TRUE(jobs_->LoseLease(id, leased.fence).ok());
  EXPECT_EQ(Get(id).owner, "w2");
  EXPECT_THAT(Outcomes(id), ElementsAre("lost", "open"));
}

TEST_F(JobLeasesTest, FlagsOfALostJobAreHonoured) {
  const int64_t cancelled = Create().id;
  const int64_t paused = Create().id;
  Lease();
  Lease();
  ASSERT_TRUE(jobs_->RequestCancel("default", cancelled).ok());
  ASSERT_TRUE(jobs_->RequestPause("default", paused).ok());
  clock_.Advance(kLease * 2);
  EXPECT_EQ(*jobs_->ExpireLeases(), 2);
  EXPECT_EQ(Get(cancelled).state, JobState::kCancelled);
  EXPECT_EQ(Get(paused).state, JobState::kPaused);
}

TEST_F(JobLeasesTest, MoreLostLeasesThanOneBatchAllEnd) {
  constexpr int kJobs = 230;
  for (int i = 0; i < kJobs; ++i) Create();
  for (int i = 0; i < kJobs; ++i) Lease();
  EXPECT_EQ(*jobs_->RequeueRunningOf("w1"), kJobs);
  EXPECT_EQ((*jobs_->CountByState())[0], kJobs);
}

}  // namespace
}  // namespace promptd::jobs
