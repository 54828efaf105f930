// The clients' half: create, read, list, cancel, pause.
#include "jobs/job_store.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/job_store_fixture.h"

namespace promptd::jobs {
namespace {

using ::testing::HasSubstr;

using JobStoreTest = JobStoreFixture;

TEST_F(JobStoreTest, ACreatedJobSurvivesAReopen) {
  const Job created = Create();
  EXPECT_EQ(created.state, JobState::kQueued);
  EXPECT_EQ(created.attempt, 0);
  Open({});
  const Job job = Get(created.id);
  EXPECT_EQ(job.spec_json, R"({"shots":16})");
  EXPECT_EQ(job.task, "pets");
  EXPECT_EQ(job.encoder_digest, "e1");
  EXPECT_EQ(job.dataset_digest, "d1");
  EXPECT_EQ(job.create_time, clock_.Now());
  EXPECT_FALSE(job.start_time.has_value());
  ASSERT_EQ(Events(job.id).size(), 1u);
  EXPECT_EQ(Events(job.id)[0].message, "queued");
}

TEST_F(JobStoreTest, WhatCreationReturnsIsWhatIsStored) {
  clock_.Advance(absl::Microseconds(1234));  // stored in milliseconds
  NewJob asked = SomeJob();
  asked.kind = JobKind::kEvaluate;
  asked.request_id = "r-1";
  asked.priority = Priority::kBatch;
  asked.content_sha256 = "content";
  asked.checkpoint_digest = "checkpoint";
  const Job created = Create(asked);
  EXPECT_EQ(created, Get(created.id));
  asked.retry_of = created.id;
  asked.request_id = "r-2";
  const Job again = Create(asked);
  EXPECT_EQ(again, Get(again.id));
}

TEST_F(JobStoreTest, OtherTenantsSeeNothing) {
  const Job job = Create();
  EXPECT_EQ(ErrorReason(jobs_->Get("other", job.id).status()), "JOB_NOT_FOUND");
  EXPECT_EQ(ErrorReason(jobs_->RequestCancel("other", job.id).status()),
            "JOB_NOT_FOUND");
  EXPECT_EQ(ErrorReason(jobs_->Events("other", job.id, 1, 10).status()),
            "JOB_NOT_FOUND");
  EXPECT_TRUE(jobs_->List("other", "", {})->items.empty());
}

TEST_F(JobStoreTest, ARepeatedRequestIsTheSameJob) {
  NewJob request = SomeJob();
  request.request_id = "r-1";
  const Job first = Create(request);
  EXPECT_EQ(Create(request).id, first.id);
  EXPECT_EQ((*jobs_->FindByRequest("default", "r-1", "b1"))->id, first.id);
  EXPECT_FALSE(jobs_->FindByRequest("default", "r-2", "b1")->has_value());
  EXPECT_FALSE(jobs_->FindByRequest("other", "r-1", "b1")->has_value());
  request.body_sha256 = "b2";
  const auto reused = jobs_->Create(request);
  EXPECT_EQ(reused.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ErrorReason(reused.status()), "REQUEST_ID_REUSED");
  EXPECT_EQ(ErrorReason(jobs_->FindByRequest("default", "r-1", "b2").status()),
            "REQUEST_ID_REUSED");
  request.tenant = "other";
  EXPECT_NE(Create(request).id, first.id);
  EXPECT_EQ(jobs_->List("default", "", {})->items.size(), 1u);
}

TEST_F(JobStoreTest, OneRequestFromManyThreadsMakesOneJob) {
  NewJob request = SomeJob();
  request.request_id = "r-1";
  std::vector<int64_t> ids(4);
  std::vector<std::thread> threads;
  for (int64_t& id : ids) {
    threads.emplace_back([&]() { id = Create(request).id; });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int64_t id : ids) EXPECT_EQ(id, ids[0]);
}

TEST_F(JobStoreTest, TheNumberOfUnfinishedJobsIsBounded) {
  Open({.max_unfinished = 2});
  const Job first = Create();
  Create();
  const auto third = jobs_->Create(SomeJob());
  EXPECT_EQ(third.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(third.status()), "TOO_MANY_JOBS");
  NewJob other = SomeJob();
  other.tenant = "other";
  EXPECT_NE(Create(other).id, 0);
  ASSERT_TRUE(jobs_->RequestCancel("default", first.id).ok());
  EXPECT_NE(Create().id, 0);
}

TEST_F(JobStoreTest, ListsNewestFirstInPages) {
  for (int i = 0; i < 5; ++i) Create(SomeJob(i % 2 == 0 ? "even" : "odd"));
  const auto first = jobs_->List("default", "", {2, ""});
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_GT(first->items[0].id, first->items[1].id);
  std::vector<int64_t> ids;
  std::string token;
  do {
    const auto page = jobs_->List("default", "", {2, token});
    ASSERT_TRUE(page.ok());
    for (const Job& job : page->items) ids.push_back(job.id);
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_EQ(ids.size(), 5u);
  EXPECT_TRUE(std::is_sorted(ids.rbegin(), ids.rend()));
  const auto odd = jobs_->List("default", "odd", {});
  ASSERT_EQ(odd->items.size(), 2u);
  EXPECT_EQ(odd->items[0].task, "odd");
  EXPECT_TRUE(odd->next_page_token.empty());
  EXPECT_EQ(ErrorReason(jobs_->List("default", "", {2, "x"}).status()),
            "INVALID_PAGE_TOKEN");
}

TEST_F(JobStoreTest, CancellingAQueuedOrPausedJobEndsItAtOnce) {
  const Job queued = Create();
  const auto cancelled = jobs_->RequestCancel("default", queued.id);
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->state, JobState::kCancelled);
  EXPECT_EQ(cancelled->end_time, clock_.Now());
  const size_t events = Events(queued.id).size();
  EXPECT_TRUE(jobs_->RequestCancel("default", queued.id).ok());
  EXPECT_EQ(Events(queued.id).size(), events);
  const Job paused = Create();
  ASSERT_TRUE(jobs_->RequestPause("default", paused.id).ok());
  EXPECT_EQ(jobs_->RequestCancel("default", paused.id)->state,
            JobState::kCancelled);
  EXPECT_EQ(Lease().id, 0);
}

TEST_F(JobStoreTest, CancellingARunningJobSetsTheFlagThatItsBeatBrings) {
  const Job job = Create();
  const Job leased = Lease();
  EXPECT_FALSE(jobs_->Heartbeat(job.id, leased.fence, kLease)->cancel);
  const auto flagged = jobs_->RequestCancel("default", job.id);
  EXPECT_EQ(flagged->state, JobState::kRunning);
  EXPECT_TRUE(flagged->cancel_requested);
  EXPECT_TRUE(jobs_->Heartbeat(job.id, leased.fence, kLease)->cancel);
  const size_t events = Events(job.id).size();
  EXPECT_TRUE(jobs_->RequestCancel("default", job.id).ok());
  EXPECT_EQ(Events(job.id).size(), events);
  ASSERT_TRUE(jobs_->ConfirmCancel(job.id, leased.fence).ok());
  EXPECT_EQ(Get(job.id).state, JobState::kCancelled);
}

TEST_F(JobStoreTest, AFinishedJobCannotBeCancelledPausedOrResumed) {
  const Job job = Create();
  ASSERT_TRUE(Complete(job.id, Lease().fence, 1).ok());
  for (const auto& result : {jobs_->RequestCancel("default", job.id),
                             jobs_->RequestPause("default", job.id),
                             jobs_->Resume("default", job.id)}) {
    EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ErrorReason(result.status()), "JOB_FINISHED");
    EXPECT_THAT(result.status().message(), HasSubstr("succeeded"));
  }
}

TEST_F(JobStoreTest, PausedJobsWaitUntilTheyAreResumed) {
  const Job job = Create();
  EXPECT_EQ(jobs_->RequestPause("default", job.id)->state, JobState::kPaused);
  EXPECT_EQ(Lease().id, 0);
  EXPECT_EQ(jobs_->Resume("default", job.id)->state, JobState::kQueued);
  const Job leased = Lease();
  EXPECT_EQ(leased.id, job.id);
  EXPECT_TRUE(jobs_->RequestPause("default", job.id)->pause_requested);
  EXPECT_TRUE(jobs_->Heartbeat(job.id, leased.fence, kLease)->pause);
  EXPECT_FALSE(jobs_->Resume("default", job.id)->pause_requested);
  EXPECT_TRUE(jobs_->RequestPause("default", job.id)->pause_requested);
  ASSERT_TRUE(jobs_->ConfirmPause(job.id, leased.fence).ok());
  EXPECT_EQ(Get(job.id).state, JobState::kPaused);
  EXPECT_EQ(Get(job.id).attempt, 0);
}

TEST_F(JobStoreTest, CountsByState) {
  Create();
  const Job cancelled = Create();
  ASSERT_TRUE(jobs_->RequestCancel("default", cancelled.id).ok());
  Create();
  Lease();
  const auto counts = jobs_->CountByState();
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_THAT(*counts, ::testing::ElementsAre(1, 1, 0, 0, 0, 1));
  ASSERT_EQ(jobs_->Running(10)->size(), 1u);
}

}  // namespace
}  // namespace promptd::jobs
