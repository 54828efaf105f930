// Which checkpoints of a job are listed, and cancellation behind one.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class JobCheckpointsTest : public JobStoreFixture {
 protected:
  // A job that runs; its fence.
  int64_t Run() {
    id_ = Create().id;
    return Lease().fence;
  }
  void Save(int64_t fence, int epoch, int64_t bytes = 10) {
    const absl::Status saved =
        jobs_->SaveCheckpoint(id_, fence,
                              {.blob_digest = "c" + std::to_string(epoch),
                               .epoch = epoch,
                               .step = 3 * epoch,
                               .bytes = bytes});
    EXPECT_TRUE(saved.ok()) << saved;
  }
  std::vector<Checkpoint> List() {
    auto listed = jobs_->Checkpoints("default", id_);
    EXPECT_TRUE(listed.ok()) << listed.status();
    return listed.ok() ? *std::move(listed) : std::vector<Checkpoint>();
  }
  std::vector<int> Numbers() {
    std::vector<int> numbers;
    for (const Checkpoint& checkpoint : List()) {
      numbers.push_back(checkpoint.number);
    }
    return numbers;
  }
  Job Cancel(bool after_checkpoint) {
    const auto job = jobs_->RequestCancel("default", id_, after_checkpoint);
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : Job();
  }
  Directives Beat(int64_t fence) {
    const auto directives = jobs_->Heartbeat(id_, fence, kLease);
    EXPECT_TRUE(directives.ok()) << directives.status();
    return directives.ok() ? *directives : Directives();
  }

  int64_t id_ = 0;
};

TEST_F(JobCheckpointsTest, AreNumberedAndSayWhereTheJobStood) {
  const int64_t fence = Run();
  EXPECT_THAT(List(), IsEmpty());
  const absl::Time first = clock_.Now();
  Save(fence, 2);
  clock_.Advance(absl::Seconds(5));
  Save(fence, 4);
  const std::vector<Checkpoint> listed = List();
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].number, 2);
  EXPECT_EQ(listed[0].blob_digest, "c4");
  EXPECT_EQ(listed[0].epoch, 4);
  EXPECT_EQ(listed[0].step, 12);
  EXPECT_EQ(listed[0].bytes, 10);
  EXPECT_EQ(listed[1].number, 1);
  EXPECT_EQ(listed[1].create_time, first);
  EXPECT_EQ(Get(id_).checkpoint_digest, "c4");
}

TEST_F(JobCheckpointsTest, TheSameOneOnceMoreChangesNothing) {
  const int64_t fence = Run();
  Save(fence, 1);
  Save(fence, 1);
  EXPECT_THAT(Numbers(), ElementsAre(1));
}

TEST_F(JobCheckpointsTest, OnlyTheLastFewStay) {
  const int64_t fence = Run();
  for (int epoch = 1; epoch <= 12; ++epoch) Save(fence, epoch);
  EXPECT_THAT(Numbers(), ElementsAre(12, 11, 10, 9, 8));
  EXPECT_EQ(List().back().blob_digest, "c8");
}

TEST_F(JobCheckpointsTest, AndOfThoseNoMoreThanTheBytesThatAreGiven) {
  Open({.keep_checkpoint_bytes = 100});
  const int64_t fence = Run();
  for (int epoch = 1; epoch <= 4; ++epoch) Save(fence, epoch, 40);
  EXPECT_THAT(Numbers(), ElementsAre(4, 3));
  Save(fence, 5, 1000);  // the last one always stays
  EXPECT_THAT(Numbers(), ElementsAre(5));
  Save(fence, 6, 1);
  EXPECT_THAT(Numbers(), ElementsAre(6));
}

TEST_F(JobCheckpointsTest, AStaleWorkerAddsNone) {
  const int64_t stale = Run();
  Save(stale, 1);
  ASSERT_TRUE(jobs_->LoseLease(id_, stale).ok());
  const int64_t fence = Lease().fence;
  const absl::Status refused =
      jobs_->SaveCheckpoint(id_, stale, {.blob_digest = "late"});
  EXPECT_EQ(ErrorReason(refused), "LEASE_LOST");
  Save(fence, 2);
  EXPECT_THAT(Numbers(), ElementsAre(2, 1));
}

TEST_F(JobCheckpointsTest, OnlyItsOwnerSeesThem) {
  Save(Run(), 1);
  EXPECT_EQ(ErrorReason(jobs_->Checkpoints("other", id_).status()),
            "JOB_NOT_FOUND");
  EXPECT_EQ(ErrorReason(jobs_->Checkpoints("default", 99).status()),
            "JOB_NOT_FOUND");
}

TEST_F(JobCheckpointsTest, GoWithSuccessAndStayOtherwise) {
  int64_t fence = Run();
  Save(fence, 1);
  ASSERT_TRUE(Complete(id_, fence, 1).ok());
  EXPECT_THAT(List(), IsEmpty());
  fence = Run();
  Save(fence, 1);
  ASSERT_TRUE(jobs_->ConfirmCancel(id_, fence).ok());
  EXPECT_THAT(Numbers(), ElementsAre(1));
  clock_.Advance(absl::Hours(24 * 91));
  ASSERT_TRUE(jobs_->PruneFinished(10).ok());
  EXPECT_EQ(ErrorReason(jobs_->Checkpoints("default", id_).status()),
            "JOB_NOT_FOUND");
}

TEST_F(JobCheckpointsTest, ACancelMayWaitForOne) {
  const int64_t fence = Run();
  const Job asked = Cancel(true);
  EXPECT_EQ(asked.state, JobState::kRunning);
  EXPECT_TRUE(asked.cancel_requested);
  EXPECT_EQ(Events(id_).back().message, "cancelling behind a checkpoint");
  EXPECT_TRUE(Beat(fence).cancel);
  EXPECT_TRUE(Beat(fence).save_first);
  EXPECT_EQ(Cancel(true).last_sequence, asked.last_sequence);
  Save(fence, 7);
  ASSERT_TRUE(jobs_->ConfirmCancel(id_, fence).ok());
  EXPECT_EQ(Get(id_).state, JobState::kCancelled);
  EXPECT_THAT(Outcomes(id_), ElementsAre("cancelled"));
  // And is where a retry goes on.
  const auto again =
      store::WriteFor<Job>(db_.get(), [&](store::Transaction& tx) {
        return jobs_->Retry(tx, "default", id_, {});
      });
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->checkpoint_digest, "c7");
}

TEST_F(JobCheckpointsTest, APlainCancelDoesNotWaitAnyMore) {
  const int64_t fence = Run();
  Cancel(true);
  Cancel(false);
  EXPECT_TRUE(Beat(fence).cancel);
  EXPECT_FALSE(Beat(fence).save_first);
  Cancel(true);  // it has been hurried
  EXPECT_FALSE(Beat(fence).save_first);
  EXPECT_EQ(Events(id_).back().message, "cancelling");
}

TEST_F(JobCheckpointsTest, ItWinsOverAPause) {
  const int64_t fence = Run();
  ASSERT_TRUE(jobs_->RequestPause("default", id_).ok());
  Cancel(true);
  EXPECT_TRUE(Beat(fence).save_first);
  ASSERT_TRUE(jobs_->ConfirmPause(id_, fence).ok());
  EXPECT_EQ(Get(id_).state, JobState::kCancelled);
}

TEST_F(JobCheckpointsTest, AJobThatDoesNotRunIsCancelledAtOnce) {
  id_ = Create().id;
  EXPECT_EQ(Cancel(true).state, JobState::kCancelled);
  id_ = Create().id;
  ASSERT_TRUE(jobs_->RequestPause("default", id_).ok());
  EXPECT_EQ(Cancel(true).state, JobState::kCancelled);
}

TEST_F(JobCheckpointsTest, ALostWorkerEndsItAllTheSame) {
  const int64_t fence = Run();
  Cancel(true);
  ASSERT_TRUE(jobs_->LoseLease(id_, fence).ok());
  EXPECT_EQ(Get(id_).state, JobState::kCancelled);
  Run();
  Cancel(true);
  clock_.Advance(kLease * 2);
  EXPECT_EQ(*jobs_->ExpireLeases(), 1);
  EXPECT_EQ(Get(id_).state, JobState::kCancelled);
  EXPECT_EQ(Lease().id, 0);
}

}  // namespace
}  // namespace promptd::jobs
