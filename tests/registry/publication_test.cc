// Publications: one transaction over the queue and the registry.
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/registry/registry_fixture.h"

namespace promptd::registry {
namespace {

using PublicationTest = RegistryFixture;

TEST_F(PublicationTest, TheFirstOneSetsProductionAndLaterOnesDoNot) {
  ASSERT_TRUE(MakeTask("pets").ok());
  EXPECT_EQ(PublishNext("pets").version, 1);
  EXPECT_EQ(PublishNext("pets").version, 2);
  const auto task = prompts().GetTask("default", "pets");
  EXPECT_EQ(task->production_version, 1);
  EXPECT_EQ(task->latest_version, 2);
}

TEST_F(PublicationTest, EndsItsJobWithTheVersion) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const int64_t id = PublishNext("pets").job_id;
  const auto job = jobs_->Get("default", id);
  EXPECT_EQ(job->state, jobs::JobState::kSucceeded);
  EXPECT_EQ(job->version, 1);
  EXPECT_EQ(job->result_json, R"({"accuracy":0.5})");
}

TEST_F(PublicationTest, AZombiePublishesNothingAndLeavesNoGap) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const jobs::Job zombie = Running("pets");
  ASSERT_EQ(*jobs_->RequeueRunningOf("w1"), 1);
  const auto successor = jobs_->Lease({"w2", {"e1"}, absl::Seconds(15)});
  ASSERT_TRUE(successor.ok() && successor->has_value());
  const auto refused = Publish(zombie, VersionOf(zombie));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ErrorReason(refused.status()), "LEASE_LOST");
  EXPECT_EQ(prompts().GetTask("default", "pets")->latest_version, 0);
  const auto published = Publish(**successor, VersionOf(**successor));
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->version, 1);
  EXPECT_EQ(ErrorReason(Publish(zombie, VersionOf(zombie)).status()),
            "LEASE_LOST");
}

TEST_F(PublicationTest, AStepThatFailsUndoesTheOthers) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const jobs::Job job = Running("pets");
  const auto prepared = prompts().Prepare(VersionOf(job));
  ASSERT_TRUE(prepared.ok());
  EXPECT_FALSE(db_->Write([&](store::Transaction& tx) {
                    EXPECT_TRUE(prompts().Publish(tx, *prepared).ok());
                    return jobs_->Complete(tx, job.id, job.fence + 1, 1, "{}");
                  })
                   .ok());
  EXPECT_EQ(prompts().GetTask("default", "pets")->latest_version, 0);
  EXPECT_EQ(
      ErrorReason(prompts().GetVersionByAlias("default", "pets", "").status()),
      "ALIAS_NOT_FOUND");
  const auto published = Publish(job, VersionOf(job));
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->version, 1);
}

TEST_F(PublicationTest, AJobPublishesAtMostOnce) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const jobs::Job job = Running("pets");
  ASSERT_TRUE(Publish(job, VersionOf(job)).ok());
  const auto prepared = prompts().Prepare(VersionOf(job));
  const absl::Status again = db_->Write([&](store::Transaction& tx) {
    return prompts().Publish(tx, *prepared).status();
  });
  EXPECT_EQ(ErrorReason(again), "JOB_PUBLISHED");
  EXPECT_EQ(prompts().GetTask("default", "pets")->latest_version, 1);
}

TEST_F(PublicationTest, AnotherLabelSpaceOrEncoderIsRefused) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const jobs::Job job = Running("pets");
  NewVersion version = VersionOf(job);
  version.class_names = {"cat"};
  EXPECT_EQ(ErrorReason(Publish(job, version).status()), "TASK_MISMATCH");
  version = VersionOf(job);
  version.encoder_digest = "e2";
  EXPECT_EQ(ErrorReason(Publish(job, version).status()), "TASK_MISMATCH");
  version = VersionOf(job);
  version.task = "none";
  EXPECT_EQ(ErrorReason(Publish(job, version).status()), "TASK_NOT_FOUND");
  version = VersionOf(job);
  version.dataset = "\xff";
  EXPECT_EQ(ErrorReason(Publish(job, version).status()), "NOT_UTF8");
}

TEST_F(PublicationTest, ManyThreadsMakeGaplessVersions) {
  ASSERT_TRUE(MakeTask("pets").ok());
  constexpr int kThreads = 4;
  constexpr int kEach = 10;
  std::vector<jobs::Job> running;
  for (int i = 0; i < kThreads * kEach; ++i) running.push_back(Running("pets"));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t]() {
      for (int i = 0; i < kEach; ++i) {
        const jobs::Job& job = running[static_cast<size_t>(t * kEach + i)];
        NewVersion version = VersionOf(job);
        // Every other one fails after it took its number, and gives it back.
        version.tenant = i % 2 == 0 ? "default" : "nobody";
        EXPECT_EQ(Publish(job, version).ok(), i % 2 == 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto all = prompts().ListVersions("default", "pets", {1000, ""});
  ASSERT_TRUE(all.ok());
  std::set<int64_t> numbers;
  std::set<int64_t> publishers;
  for (const PromptVersion& version : all->items) {
    numbers.insert(version.version);
    publishers.insert(version.job_id);
  }
  const size_t expected = kThreads * kEach / 2;
  EXPECT_EQ(all->items.size(), expected);
  EXPECT_EQ(publishers.size(), expected);
  EXPECT_EQ(*numbers.begin(), 1);
  EXPECT_EQ(*numbers.rbegin(), static_cast<int64_t>(expected));
}

TEST_F(PublicationTest, APublishedVersionCannotBeChanged) {
  ASSERT_TRUE(MakeTask("pets").ok());
  PublishNext("pets");
  const auto run = [&](const char* sql) {
    return ErrorReason(db_->Write(
        [&](store::Transaction& tx) { return tx.Execute(sql, {}).status(); }));
  };
  EXPECT_EQ(run("UPDATE prompt_version SET context_digest='other'"),
            "DATABASE_CONSTRAINT");
  EXPECT_EQ(run("DELETE FROM prompt_version"), "DATABASE_CONSTRAINT");
  EXPECT_EQ(run("DELETE FROM alias_history"), "DATABASE_CONSTRAINT");
  EXPECT_EQ(run("UPDATE alias_history SET version=2"), "DATABASE_CONSTRAINT");
}

}  // namespace
}  // namespace promptd::registry
