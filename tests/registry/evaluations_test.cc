// Evaluations of a version: its own job's, and those that come later.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/registry/registry_fixture.h"

namespace promptd::registry {
namespace {

class EvaluationsTest : public RegistryFixture {
 protected:
  // An evaluation job of pets:1 that has run on `dataset`.
  absl::Status Evaluate(const std::string& dataset, const std::string& result,
                        int64_t version = 1, int64_t* id = nullptr) {
    const auto created = jobs_->Create({.kind = jobs::JobKind::kEvaluate,
                                        .tenant = "default",
                                        .task = "pets",
                                        .spec_json = "{}",
                                        .encoder_digest = "e1",
                                        .dataset_digest = dataset,
                                        .request_id = "",
                                        .body_sha256 = "b"});
    EXPECT_TRUE(created.ok()) << created.status();
    EXPECT_EQ(created->kind, jobs::JobKind::kEvaluate);
    const auto leased = jobs_->Lease({"w1", {"e1"}, absl::Seconds(15)});
    EXPECT_EQ((*leased)->kind, jobs::JobKind::kEvaluate);
    if (id != nullptr) *id = (*leased)->id;
    return db_->Write([&](store::Transaction& tx) -> absl::Status {
      const absl::Status added =
          prompts().AddEvaluation(tx, "default",
                                  {.job_id = (*leased)->id,
                                   .task = "pets",
                                   .version = version,
                                   .dataset = dataset,
                                   .dataset_digest = "digest of " + dataset,
                                   .split = "test",
                                   .result_json = result});
      if (!added.ok()) return added;
      return jobs_->Complete(tx, (*leased)->id, (*leased)->fence, version,
                             result);
    });
  }

  std::vector<std::string> Datasets(int64_t version) {
    const auto page = prompts().ListEvaluations("default", "pets", version, {});
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> names;
    for (const EvaluationRecord& item : page->items) {
      names.push_back(item.dataset);
    }
    return names;
  }
};

TEST_F(EvaluationsTest, StandBesideTheOneOfTheVersionsOwnJob) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const int64_t own = PublishNext("pets").job_id;
  int64_t later = 0;
  ASSERT_TRUE(Evaluate("sketches", R"({"accuracy":0.25})", 1, &later).ok());
  EXPECT_EQ(Datasets(1), (std::vector<std::string>{"sketches", "pets"}));

  const auto evaluation = prompts().GetEvaluation("default", later);
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->task, "pets");
  EXPECT_EQ(evaluation->version, 1);
  EXPECT_EQ(evaluation->dataset_digest, "digest of sketches");
  EXPECT_EQ(evaluation->result_json, R"({"accuracy":0.25})");
  EXPECT_EQ(prompts().GetEvaluation("default", own)->dataset, "pets");
  // The version still shows its own.
  EXPECT_EQ(prompts().GetVersion("default", "pets", 1)->evaluation_json,
            R"({"accuracy":0.5})");
  const auto job = jobs_->Get("default", later);
  EXPECT_EQ(job->state, jobs::JobState::kSucceeded);
  EXPECT_EQ(job->version, 1);
  const auto events = jobs_->Events("default", later, 0, 100);
  EXPECT_EQ(events->back().message, "evaluated version 1");
}

TEST_F(EvaluationsTest, AreListedByVersionAndInPages) {
  ASSERT_TRUE(MakeTask("pets").ok());
  PublishNext("pets");
  PublishNext("pets");
  ASSERT_TRUE(Evaluate("a", "{}", 1).ok());
  ASSERT_TRUE(Evaluate("b", "{}", 2).ok());
  EXPECT_EQ(Datasets(0), (std::vector<std::string>{"b", "a", "pets", "pets"}));
  EXPECT_EQ(Datasets(2), (std::vector<std::string>{"b", "pets"}));

  const auto first = prompts().ListEvaluations("default", "pets", 0, {3, ""});
  ASSERT_EQ(first->items.size(), 3u);
  const auto second = prompts().ListEvaluations(
      "default", "pets", 0,
      {.page_size = 3, .page_token = first->next_page_token});
  EXPECT_EQ(second->items.size(), 1u);
  EXPECT_EQ(second->next_page_token, "");
  EXPECT_EQ(
      ErrorReason(prompts()
                      .ListEvaluations("default", "pets", 0,
                                       {.page_size = 3, .page_token = "x"})
                      .status()),
      "INVALID_PAGE_TOKEN");
}

TEST_F(EvaluationsTest, OfWhatIsNotThereAreNotFound) {
  ASSERT_TRUE(MakeTask("pets").ok());
  PublishNext("pets");
  EXPECT_EQ(ErrorReason(Evaluate("a", "{}", 7)), "VERSION_NOT_FOUND");
  EXPECT_EQ(ErrorReason(prompts().GetEvaluation("default", 99).status()),
            "EVALUATION_NOT_FOUND");
  EXPECT_EQ(ErrorReason(prompts().GetEvaluation("other", 1).status()),
            "EVALUATION_NOT_FOUND");
  EXPECT_EQ(
      ErrorReason(prompts().ListEvaluations("default", "none", 0, {}).status()),
      "TASK_NOT_FOUND");
  EXPECT_EQ(
      ErrorReason(prompts().ListEvaluations("default", "pets", 7, {}).status()),
      "VERSION_NOT_FOUND");
}

TEST_F(EvaluationsTest, NeverChange) {
  ASSERT_TRUE(MakeTask("pets").ok());
  PublishNext("pets");
  EXPECT_FALSE(
      db_->Write([](store::Transaction& tx) {
           return tx.Execute("UPDATE evaluation SET result='{}'", {}).status();
         })
          .ok());
}

}  // namespace
}  // namespace promptd::registry
