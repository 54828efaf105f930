// Other features in each epoch, and selection by validation: against PyTorch,
// and through interruptions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learners/trainer.h"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

std::vector<int> Labels(const FloatTensor& values) {
  return {values.values.begin(), values.values.end()};
}

class TrainerViewsTest : public ::testing::Test {
 protected:
  TrainerViewsTest()
      : goldens_(*weights::Safetensors::FromFile(LearnersGoldenDir() +
                                                 "/coop_views.safetensors")),
        views_(*goldens_.Floats("views")),
        spec_(GoldenSpec()) {
    data_.class_names = GoldenData(CoOpGoldens()).class_names;
    data_.labels = Labels(*goldens_.Floats("labels"));
    data_.features_digest = "all views";
    data_.validation_features = *goldens_.Floats("validation_images");
    data_.validation_labels = Labels(*goldens_.Floats("validation_labels"));
    data_.validation_digest = "validation";
    spec_.views = 0;
    spec_.selection = Selection::kBestValidation;
  }

  std::unique_ptr<Trainer> Make() {
    auto trainer = Trainer::Create(TinyEncoder(), spec_, data_);
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    return *std::move(trainer);
  }

  // [N, E] of view `view`.
  FloatTensor View(int view) const {
    const int64_t size = views_.shape[1] * views_.shape[2];
    const auto first = views_.values.begin() + view * size;
    return {{views_.shape[1], views_.shape[2]}, {first, first + size}};
  }

  // One unit, with the view that it asks for.
  absl::Status Run(Trainer* trainer) {
    if (const std::optional<int> view = trainer->NeedsView()) {
      asked_.push_back(*view);
      EXPECT_TRUE(trainer->SetFeatures(*view, View(*view)).ok());
      EXPECT_EQ(trainer->NeedsView(), std::nullopt);
    }
    return trainer->RunUnit();
  }

  void RunAll(Trainer* trainer) {
    while (!trainer->done()) ASSERT_TRUE(Run(trainer).ok());
  }

  // Saves and restores into a new trainer every `interval` units.
  std::unique_ptr<Trainer> RunInterrupted(int interval) {
    std::unique_ptr<Trainer> trainer = Make();
    for (int unit = 1; !trainer->done(); ++unit) {
      EXPECT_TRUE(Run(trainer.get()).ok());
      if (unit % interval != 0) continue;
      const std::string checkpoint = *trainer->SaveCheckpoint();
      trainer = Make();
      const absl::Status restored = trainer->Restore(checkpoint);
      EXPECT_TRUE(restored.ok()) << restored;
      EXPECT_EQ(*trainer->SaveCheckpoint(), checkpoint);
    }
    return trainer;
  }

  const weights::Safetensors goldens_;
  const FloatTensor views_;  // [epochs, N, E]
  TrainerSpec spec_;
  TrainingData data_;
  std::vector<int> asked_;
};

TEST_F(TrainerViewsTest, EndsAndSelectsWherePyTorchDoes) {
  for (const auto& [views, name] :
       {std::pair{0, "epochs."}, std::pair{3, "cycle."}}) {
    SCOPED_TRACE(name);
    spec_.views = views;
    asked_.clear();
    const auto golden = [&](const char* what) {
      return *goldens_.Floats(absl::StrCat(name, what));
    };
    const std::unique_ptr<Trainer> best = Make();
    EXPECT_EQ(best->selected(), std::nullopt);
    RunAll(best.get());
    EXPECT_EQ(asked_, views == 0 ? (std::vector<int>{0, 1, 2, 3, 4, 5})
                                 : (std::vector<int>{0, 1, 2, 0, 1, 2}));
    const int epoch = static_cast<int>(golden("best_epoch").values[0]);
    ASSERT_TRUE(best->selected().has_value());
    EXPECT_EQ(best->selected()->epoch, epoch);
    EXPECT_LT(epoch, spec_.epochs);  // else nothing would be selected
    const std::vector<float> accuracies =
        golden("validation_accuracies").values;
    EXPECT_NEAR(best->selected()->validation_accuracy, accuracies[epoch - 1],
                1e-6);
    // An equal one that comes later does not win.
    EXPECT_EQ(std::count(accuracies.begin() + epoch, accuracies.end(),
                         accuracies[epoch - 1]) > 0,
              true);
    EXPECT_THAT(best->Context()->values,
                Pointwise(FloatNear(2e-5f), golden("best_context").values));

    spec_.selection = Selection::kLastStep;
    const std::unique_ptr<Trainer> last = Make();
    RunAll(last.get());
    EXPECT_EQ(last->selected(), std::nullopt);
    EXPECT_THAT(last->Context()->values,
                Pointwise(FloatNear(2e-5f), golden("context").values));
    EXPECT_NEAR(last->progress().loss, best->progress().loss, 0);
    spec_.selection = Selection::kBestValidation;
  }
}

TEST_F(TrainerViewsTest, InterruptionsAnywhereLeaveTheBytesAlone) {
  for (const int views : {0, 2}) {
    spec_.views = views;
    const std::unique_ptr<Trainer> whole = Make();
    RunAll(whole.get());
    // Three steps an epoch, of two units each: in its middle, at its border,
    // and in and after its first step, when the validation of the epoch before
    // is behind us. An interval of one would begin a step for ever.
    for (const int interval : {2, 3, 4, 6, 7, 8, 36}) {
      SCOPED_TRACE(interval);
      const std::unique_ptr<Trainer> parts = RunInterrupted(interval);
      EXPECT_EQ(parts->Context()->values, whole->Context()->values);
      EXPECT_EQ(parts->TextFeatures()->values, whole->TextFeatures()->values);
      EXPECT_EQ(parts->selected()->epoch, whole->selected()->epoch);
      EXPECT_EQ(parts->progress().loss, whole->progress().loss);
      EXPECT_EQ(*parts->SaveCheckpoint(), *whole->SaveCheckpoint());
    }
  }
}

TEST_F(TrainerViewsTest, ARestoredTrainerAsksForItsEpochsViewAgain) {
  const std::unique_ptr<Trainer> trainer = Make();
  while (trainer->progress().step < 4) ASSERT_TRUE(Run(trainer.get()).ok());
  const std::string inside = *trainer->SaveCheckpoint();
  const std::unique_ptr<Trainer> resumed = Make();
  ASSERT_TRUE(resumed->Restore(inside).ok());
  EXPECT_EQ(resumed->NeedsView(), 1);
  EXPECT_EQ(ErrorReason(resumed->SetFeatures(1, {{2, 2}, {1, 2, 3, 4}})),
            "BAD_TRAINING_DATA");
  EXPECT_EQ(resumed->NeedsView(), 1);
}

TEST_F(TrainerViewsTest, ValidationInChunksOfClassesIsTheSame) {
  data_.class_names.clear();
  for (int i = 0; i < 40; ++i) {
    data_.class_names.push_back(absl::StrCat(i, " is a long class name"));
  }
  spec_.epochs = 2;
  const std::unique_ptr<Trainer> whole = Make();
  int units = 0;
  for (; !whole->done(); ++units) ASSERT_TRUE(Run(whole.get()).ok());
  ASSERT_GE(units, 4 * whole->progress().steps);
  // Inside the pass that scores the last epoch, too.
  for (const int interval : {units - 1, units / 2 + 1}) {
    const std::unique_ptr<Trainer> parts = RunInterrupted(interval);
    EXPECT_EQ(parts->Context()->values, whole->Context()->values);
    EXPECT_EQ(parts->selected()->epoch, whole->selected()->epoch);
  }
}

TEST_F(TrainerViewsTest, ViewsAndSelectionArePartOfTheJobsIdentity) {
  spec_.views = 1;
  spec_.selection = Selection::kLastStep;
  data_.features = View(0);
  const std::unique_ptr<Trainer> plain = Make();
  ASSERT_TRUE(plain->RunUnit().ok());
  const std::string checkpoint = *plain->SaveCheckpoint();
  const auto mismatch = [&] {
    return ErrorReason(Make()->Restore(checkpoint)) == "CHECKPOINT_MISMATCH";
  };
  EXPECT_FALSE(mismatch());
  // Validation images are no part of a job that does not look at them.
  data_.validation_digest = "others";
  EXPECT_FALSE(mismatch());
  spec_.selection = Selection::kBestValidation;
  EXPECT_TRUE(mismatch());
  spec_.selection = Selection::kLastStep;
  spec_.views = 2;
  EXPECT_TRUE(mismatch());
}

TEST_F(TrainerViewsTest, ADivergedTrainerCanStillSaveItsLastGoodState) {
  spec_.learning_rate = 1e38;
  spec_.weight_decay = 10;
  spec_.warmup_epochs = 1;
  const std::unique_ptr<Trainer> trainer = Make();
  absl::Status status;
  std::string before;
  while (status.ok() && !trainer->done()) {
    before = *trainer->SaveCheckpoint();
    status = Run(trainer.get());
  }
  ASSERT_EQ(ErrorReason(status), "NON_FINITE_LOSS");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("at step ", trainer->progress().step + 1,
                                     " of ", trainer->progress().steps)));
  EXPECT_GE(trainer->progress().step, 3);  // after the warm-up
  EXPECT_EQ(*trainer->SaveCheckpoint(), before);
  EXPECT_TRUE(Make()->Restore(*trainer->SaveCheckpoint()).ok());
}

TEST_F(TrainerViewsTest, SelectionNeedsValidationImages) {
  data_.validation_features = {};
  data_.validation_labels.clear();
  spec_.views = -1;
  EXPECT_EQ(ErrorReason(Trainer::Create(TinyEncoder(), spec_, data_).status()),
            "BAD_TRAINER_SPEC");
  spec_.views = 0;
  const absl::Status status =
      Trainer::Create(TinyEncoder(), spec_, data_).status();
  EXPECT_EQ(ErrorReason(status), "BAD_TRAINING_DATA");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("selection by validation"));
}

}  // namespace
}  // namespace promptd::learners
