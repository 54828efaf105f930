// Evaluation jobs through a whole worker, against a front end in memory.
#include <numeric>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

using ::testing::StartsWith;

class EvaluationRunTest : public WorkerFixture {
 protected:
  // Trains on the fixture's dataset; an evaluation of that version on it.
  EvaluationSpec Trained(const LocalWorker& worker,
                         const std::string& method = "coop") {
    TrainingSpec trained = AddDataset(worker);
    trained.method = method;
    trained.text_templates = {"a photo of a {}."};
    const int64_t job = control_.Enqueue(trained);
    EXPECT_EQ(control_.WaitForEnd(job), "published");
    prompt_ = *control_.published(job);
    EvaluationSpec spec;
    spec.task = trained.task;
    spec.version = 1;
    spec.features_digest = prompt_.features_digest;
    spec.dataset = trained.dataset;
    spec.dataset_digest = trained.dataset_digest;
    spec.encoder = trained.encoder;
    spec.encoder_digest = trained.encoder_digest;
    spec.split = "test";
    spec.class_rows = {0, 1};
    spec.templates = trained.templates;
    return spec;
  }

  Evaluation Run(const EvaluationSpec& spec) {
    const int64_t job = control_.Enqueue(spec);
    EXPECT_EQ(control_.WaitForEnd(job), "evaluated");
    return control_.evaluated(job).value_or(Evaluation());
  }

  FinishedPrompt prompt_;
};

TEST_F(EvaluationRunTest, OnTheJobsOwnDatasetEqualsTheJobsEvaluation) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const Evaluation again = Run(Trained(*worker));
  EXPECT_EQ(EvaluationToJson(again), EvaluationToJson(prompt_.evaluation));
  EXPECT_EQ(again.images, 4);
  const int64_t counted = std::accumulate(
      again.confusion.begin(), again.confusion.end(), int64_t{0},
      [](int64_t sum, const auto& count) { return sum + count.images; });
  EXPECT_EQ(counted, 4);
}

TEST_F(EvaluationRunTest, ATunedImageTowerScoresAndTheEncodersOwnIsBaseline) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const EvaluationSpec coop = Trained(*worker);
  const Evaluation plain = prompt_.evaluation;
  const EvaluationSpec spec = Trained(*worker, "image_encoder");
  EXPECT_EQ(EvaluationToJson(Run(spec)), EvaluationToJson(prompt_.evaluation));
  // The baselines are those of every other method.
  EXPECT_EQ(prompt_.evaluation.zero_shot_accuracy, plain.zero_shot_accuracy);
  EXPECT_EQ(prompt_.evaluation.zero_shot_ece, plain.zero_shot_ece);
  EXPECT_EQ(EvaluationToJson(Run(coop)), EvaluationToJson(plain));
}

TEST_F(EvaluationRunTest, ClassesAreFoundByTheirRow) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  EvaluationSpec spec = Trained(*worker);
  const Evaluation straight = Run(spec);
  spec.class_rows = {1, 0};
  spec.templates.clear();
  const Evaluation crossed = Run(spec);
  EXPECT_DOUBLE_EQ(crossed.accuracy, 1 - straight.accuracy);
  EXPECT_EQ(crossed.zero_shot_template, "");
}

TEST_F(EvaluationRunTest, ASubsetOfTheClassesCompetesAlone) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  EvaluationSpec spec = Trained(*worker);
  spec.class_subset = ClassSubset::kNew;
  spec.class_rows = {1};
  const Evaluation alone = Run(spec);
  EXPECT_EQ(alone.images, 2);
  EXPECT_EQ(alone.accuracy, 1);
  ASSERT_EQ(alone.classes.size(), 1u);
  EXPECT_EQ(alone.classes[0].class_name, "drawing");
}

TEST_F(EvaluationRunTest, RowsThatTheVersionHasNotAreRefused) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  EvaluationSpec spec = Trained(*worker);
  spec.class_rows = {0, 2};
  EXPECT_THAT(control_.WaitForEnd(control_.Enqueue(spec)),
              StartsWith("failed: BAD_STORED_SPEC"));
  spec.class_rows = {0};
  EXPECT_THAT(control_.WaitForEnd(control_.Enqueue(spec)),
              StartsWith("failed: BAD_STORED_SPEC"));
}

TEST_F(EvaluationRunTest, EndsWhenItIsCancelled) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  EvaluationSpec spec = Trained(*worker);
  // Long enough for a heartbeat to come in between.
  for (int i = 0; i < 20'000; ++i) {
    spec.templates.push_back(absl::StrCat("number ", i, " of {}"));
  }
  control_.SetDirective(Directive::kCancel);
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)), "cancelled");
}

}  // namespace
}  // namespace promptd::worker
