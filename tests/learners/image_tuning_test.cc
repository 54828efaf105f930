// Fine-tuning of the image tower against PyTorch's.
#include "learners/image_tuning.h"

#include <cmath>
#include <limits>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::HasSubstr;

class ImageTuningTest : public ::testing::Test {
 protected:
  ImageTuningTest() {
    const auto run = nlohmann::json::parse(goldens_.metadata().at("run"));
    spec_.method = "image_encoder";
    spec_.epochs = run.at("epochs");
    spec_.batch_size = run.at("batch_size");
    spec_.learning_rate = run.at("learning_rate");
    const auto texts = *weights::Safetensors::FromFile(
        LearnersGoldenDir() + "/text_methods.safetensors");
    spec_.text_templates =
        nlohmann::json::parse(texts.metadata().at("templates"))
            .get<std::vector<std::string>>();
    const int images = std::stoi(goldens_.metadata().at("images"));
    data_.class_names = GoldenData(CoOpGoldens()).class_names;
    for (int i = 0; i < images; ++i) {
      data_.labels.push_back(i % static_cast<int>(data_.class_names.size()));
    }
    data_.features_digest = "pixels";
    data_.encoder_folder = &TinyFolder();
  }

  std::unique_ptr<Learner> Make() const {
    auto learner = MakeLearner(TinyEncoder(), spec_, data_);
    EXPECT_TRUE(learner.ok()) << learner.status();
    return *std::move(learner);
  }

  absl::Status Failure() const {
    return MakeLearner(TinyEncoder(), spec_, data_).status();
  }

  const weights::Safetensors goldens_ = *weights::Safetensors::FromFile(
      LearnersGoldenDir() + "/image_tuning.safetensors");
  TrainerSpec spec_ = GoldenSpec();
  TrainingData data_;
};

TEST_F(ImageTuningTest, LearnsAsInPyTorch) {
  const auto learner = Make();
  const FloatTensor losses = *goldens_.Floats("losses");
  const int64_t per_epoch = learner->progress().steps / spec_.epochs;
  double sum = 0;
  for (size_t step = 0; step < losses.values.size(); ++step) {
    RunStep(learner.get());
    sum += losses.values[step];
    if ((step + 1) % static_cast<size_t>(per_epoch) != 0) continue;
    EXPECT_NEAR(learner->progress().loss, sum / static_cast<double>(per_epoch),
                1e-4);
    sum = 0;
  }
  ASSERT_TRUE(learner->done());
  const auto learned = learner->Result();
  ASSERT_TRUE(learned.ok()) << learned.status();
  const FloatTensor head = *goldens_.Floats("head");
  ASSERT_EQ(learned->head.weights.shape, head.shape);
  EXPECT_LT(MaxDifference(learned->head.weights, head), 1e-5);

  const auto file = weights::Safetensors::FromBytes(
      *weights::WriteSafetensors(learned->parameters), "tower");
  const auto tuned = TinyEncoder()->WithImageTower(*file, "digest");
  ASSERT_TRUE(tuned.ok()) << tuned.status();
  std::vector<int64_t> rows(data_.labels.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  const auto features = (*tuned)->EncodeImages(TinyPixels({rows, {}}));
  ASSERT_TRUE(features.ok()) << features.status();
  const FloatTensor expected = *goldens_.Floats("features");
  float largest = 0;
  for (const float value : expected.values) {
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_LT(MaxDifference(*features, expected), 2e-4 * largest);
}

TEST_F(ImageTuningTest, ARestoredStateEndsInTheSameBytes) {
  const auto whole = Make();
  const auto first = Make();
  // Into the second epoch, and into a step, which runs again.
  for (int step = 0; step < 3; ++step) RunStep(first.get());
  ASSERT_TRUE(first->RunUnit().ok());
  const auto checkpoint = first->SaveCheckpoint();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto resumed = Make();
  ASSERT_TRUE(resumed->Restore(*checkpoint).ok());
  EXPECT_EQ(resumed->progress().step, 3);
  RunLearner(whole.get());
  RunLearner(resumed.get());
  const auto expected = whole->Result();
  const auto result = resumed->Result();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->parameters.size(), expected->parameters.size());
  for (const auto& [name, tensor] : expected->parameters) {
    EXPECT_EQ(result->parameters.at(name).values, tensor.values) << name;
  }
  // A finished one as well, whose texts were never encoded.
  const auto finished = Make();
  ASSERT_TRUE(finished->Restore(*whole->SaveCheckpoint()).ok());
  EXPECT_TRUE(finished->done());
  EXPECT_EQ(finished->Result()->head.weights.values,
            expected->head.weights.values);
  data_.labels[0] = 1;
  EXPECT_EQ(ErrorReason(Make()->Restore(*checkpoint)), "CHECKPOINT_MISMATCH");
}

TEST_F(ImageTuningTest, EachEpochAsksForItsView) {
  spec_.views = 2;
  const auto learner = Make();
  std::vector<int> views;
  while (!learner->done()) {
    if (const auto wanted = learner->NeedsPixels()) {
      ASSERT_TRUE(wanted->view.has_value());
      views.push_back(*wanted->view);
      ASSERT_TRUE(learner->SetPixels(TinyPixels(*wanted)).ok());
    }
    ASSERT_TRUE(learner->RunUnit().ok());
  }
  EXPECT_EQ(views, (std::vector<int>{0, 0, 1, 1, 0, 0}));
}

TEST_F(ImageTuningTest, ALossThatIsNotFiniteLeavesTheLastGoodState) {
  spec_.learning_rate = 1e30;
  const auto learner = Make();
  absl::Status status;
  while (status.ok()) {
    if (const auto wanted = learner->NeedsPixels()) {
      ASSERT_TRUE(learner->SetPixels(TinyPixels(*wanted)).ok());
    }
    ASSERT_FALSE(learner->done());
    status = learner->RunUnit();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ErrorReason(status), "NON_FINITE_LOSS");
  EXPECT_THAT(std::string(status.message()), HasSubstr("1e+30"));
  const auto checkpoint = learner->SaveCheckpoint();
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_TRUE(Make()->Restore(*checkpoint).ok());
}

TEST_F(ImageTuningTest, WhatMakesNoSenseIsRefused) {
  const auto learner = Make();
  ASSERT_TRUE(learner->RunUnit().ok());  // the texts
  ASSERT_TRUE(learner->RunUnit().ok());  // a batch is drawn
  ASSERT_TRUE(learner->NeedsPixels().has_value());
  EXPECT_EQ(ErrorReason(learner->SetPixels({{1, 3, 32, 32}, {}})),
            "BAD_TRAINING_DATA");

  spec_.selection = Selection::kBestValidation;
  EXPECT_EQ(ErrorReason(Failure()), "BAD_TRAINER_SPEC");
  spec_.selection = Selection::kLastStep;
  spec_.epochs = 0;
  EXPECT_EQ(ErrorReason(Failure()), "BAD_TRAINER_SPEC");
  spec_.epochs = 1;
  data_.labels[0] = 9;
  EXPECT_EQ(ErrorReason(Failure()), "BAD_TRAINING_DATA");
  data_.labels.clear();
  EXPECT_EQ(ErrorReason(Failure()), "BAD_TRAINING_DATA");
}

}  // namespace
}  // namespace promptd::learners
