// Priorities, shares of tenants, equal jobs and the end of old ones.
#include "jobs/job_choice.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::ElementsAre;

class JobChoiceTest : public JobStoreFixture {
 protected:
  int64_t Add(Priority priority, const std::string& tenant = "default") {
    NewJob job = SomeJob();
    job.priority = priority;
    job.tenant = tenant;
    return Create(job).id;
  }
  std::vector<int64_t> LeaseAll() {
    std::vector<int64_t> ids;
    for (Job job = Lease(); job.id != 0; job = Lease()) ids.push_back(job.id);
    return ids;
  }
  // A version that the job made, for the tables that refer to it.
  void AddVersion(int64_t job) {
    const absl::Status written = db_->Write([&](store::Transaction& tx) {
      absl::Status status =
          tx.Execute(
                "INSERT OR IGNORE INTO task (id, tenant, name, encoder,"
                " encoder_digest, class_names, created) VALUES"
                " (1, 'default', 'pets', 'e', 'e1', '[]', 0)",
                {})
              .status();
      if (!status.ok()) return status;
      return tx
          .Execute(
              "INSERT INTO prompt_version (task_id, version, digest,"
              " context_digest, features_digest, dataset, dataset_digest,"
              " encoder_digest, job_id, spec, created) VALUES"
              " (1, ?, 'm', 'c', 'f', 'd', 'd1', 'e1', ?, '{}', 0)",
              {job, job})
          .status();
    });
    EXPECT_TRUE(written.ok()) << written;
  }
  std::optional<Job> Same(const std::string& content,
                          const std::string& tenant = "default") {
    const auto found = store::ReadFor<std::optional<Job>>(
        db_.get(), [&](store::Transaction& tx) {
          return jobs_->FindSame(tx, tenant, content);
        });
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : std::nullopt;
  }
};

TEST_F(JobChoiceTest, HigherPrioritiesGoFirstAndEqualOnesByAge) {
  const int64_t batch = Add(Priority::kBatch);
  const int64_t normal = Add(Priority::kNormal);
  const int64_t interactive = Add(Priority::kInteractive);
  clock_.Advance(absl::Seconds(1));
  const int64_t younger = Add(Priority::kInteractive);
  EXPECT_THAT(LeaseAll(), ElementsAre(interactive, younger, normal, batch));
  EXPECT_EQ(Get(batch).priority, Priority::kBatch);
}

TEST_F(JobChoiceTest, WhoWaitsLongRises) {
  const int64_t batch = Add(Priority::kBatch);
  clock_.Advance(absl::Minutes(19));
  const int64_t normal = Add(Priority::kNormal);
  const int64_t interactive = Add(Priority::kInteractive);
  // 19 minutes: as good as a normal one, and older.
  EXPECT_EQ(Lease().id, interactive);
  EXPECT_EQ(Lease().id, batch);
  EXPECT_EQ(Lease().id, normal);
  const int64_t old = Add(Priority::kBatch);
  clock_.Advance(absl::Minutes(21));
  Add(Priority::kInteractive);
  EXPECT_EQ(Lease().id, old);
}

TEST_F(JobChoiceTest, TheTenantWithTheFewestRunningJobsComesNext) {
  std::vector<int64_t> ann;
  for (int i = 0; i < 3; ++i) ann.push_back(Add(Priority::kNormal, "ann"));
  clock_.Advance(absl::Seconds(1));
  const int64_t bob = Add(Priority::kNormal, "bob");
  EXPECT_THAT(LeaseAll(), ElementsAre(ann[0], bob, ann[1], ann[2]));
}

TEST_F(JobChoiceTest, TheOldestIsTheFairestWhereItIsTheAnswer) {
  const JobPolicy policy = {.max_running_tenant = 2};
  Open(policy);
  std::mt19937 random(1);
  int fast = 0;
  int slow = 0;
  for (int round = 0; round < 300; ++round) {
    clock_.Advance(absl::Seconds(random() % 200));
    NewJob job = SomeJob();
    job.priority = static_cast<Priority>(1 + random() % 3);
    job.tenant = absl::StrCat("tenant-", random() % 8);
    job.encoder_digest = absl::StrCat("e", random() % 3);  // e2: not held
    Create(job);
    if (random() % 3 == 0) continue;
    std::optional<int64_t> oldest;
    int64_t fairest = 0;
    const absl::Status read = db_->Read([&](store::Transaction& tx) {
      oldest = FindOldest(tx, {"e0", "e1"}, policy, clock_.Now()).value();
      fairest = FindFairest(tx, {"e0", "e1"}, policy, clock_.Now()).value();
      return absl::OkStatus();
    });
    ASSERT_TRUE(read.ok()) << read;
    if (oldest) {
      ++fast;
      EXPECT_EQ(*oldest, fairest);
    } else {
      ++slow;
    }
    const Job leased = Lease();
    EXPECT_EQ(leased.id, fairest);
    // Few run at a time, so that now and then the oldest's tenant does not.
    if (leased.id != 0 && random() % 30 != 0) {
      EXPECT_TRUE(Complete(leased.id, leased.fence, 1).ok());
    }
  }
  EXPECT_GT(fast, 20);
  EXPECT_GT(slow, 20);
}

TEST_F(JobChoiceTest, ATenantAtItsBoundIsPassedOverUntilAJobEnds) {
  Open({.max_running_tenant = 2});
  std::vector<int64_t> ann;
  for (int i = 0; i < 3; ++i) ann.push_back(Add(Priority::kInteractive, "ann"));
  const int64_t bob = Add(Priority::kBatch, "bob");
  const Job first = Lease();
  EXPECT_EQ(first.id, ann[0]);
  EXPECT_EQ(Lease().id, ann[1]);
  EXPECT_EQ(Lease().id, bob);
  EXPECT_EQ(Lease().id, 0);
  ASSERT_TRUE(Complete(first.id, first.fence, 1).ok());
  EXPECT_EQ(Lease().id, ann[2]);
}

TEST_F(JobChoiceTest, AnEqualJobIsFoundOnceItsVersionIsThere) {
  NewJob job = SomeJob();
  job.content_sha256 = "same";
  const int64_t id = Create(job).id;
  EXPECT_FALSE(Same("same").has_value());
  ASSERT_TRUE(Complete(id, Lease().fence, 1).ok());
  EXPECT_FALSE(Same("same").has_value());
  AddVersion(id);
  ASSERT_TRUE(Same("same").has_value());
  EXPECT_EQ(Same("same")->id, id);
  EXPECT_FALSE(Same("other").has_value());
  EXPECT_FALSE(Same("same", "bob").has_value());
  const int64_t without = Create().id;
  ASSERT_TRUE(Complete(without, Lease().fence, 2).ok());
  AddVersion(without);
  EXPECT_FALSE(Same("").has_value());
}

TEST_F(JobChoiceTest, OldJobsGoAndThoseThatMadeSomethingKeepTheirEnd) {
  Open({.keep_finished = absl::Hours(24)});
  const int64_t made = Create().id;
  ASSERT_TRUE(Complete(made, Lease().fence, 1).ok());
  AddVersion(made);
  const int64_t cancelled = Create().id;
  ASSERT_TRUE(jobs_->RequestCancel("default", cancelled).ok());
  const int64_t queued = Create().id;
  clock_.Advance(absl::Hours(23));
  EXPECT_EQ(*jobs_->PruneFinished(10), 0);
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(*jobs_->PruneFinished(1), 1);
  EXPECT_EQ(*jobs_->PruneFinished(10), 1);
  EXPECT_EQ(*jobs_->PruneFinished(10), 0);
  EXPECT_EQ(ErrorReason(jobs_->Get("default", cancelled).status()),
            "JOB_NOT_FOUND");
  const auto events = jobs_->Events("default", made, 0, 10);
  ASSERT_TRUE(events.ok()) << events.status();
  ASSERT_EQ(events->size(), 1u);
  EXPECT_EQ((*events)[0].state, JobState::kSucceeded);
  EXPECT_EQ((*events)[0].sequence, Get(made).last_sequence);
  EXPECT_THAT(Outcomes(made), ElementsAre());
  EXPECT_EQ(Get(queued).state, JobState::kQueued);
}

}  // namespace
}  // namespace promptd::jobs
