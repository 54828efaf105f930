// Jobs on random views and with selection by validation, through a whole
// worker against a front end in memory.
#include <cstddef>
#include <string>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"

namespace promptd::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ViewsJobTest : public WorkerFixture {
 protected:
  std::string ContextOf(int64_t job) {
    EXPECT_EQ(control_.WaitForEnd(job), "published");
    const auto prompt = control_.published(job);
    return prompt.has_value() ? prompt->context_digest : "none";
  }

  // AddDataset's, with four epochs of two steps and `views`.
  TrainingSpec Spec(const LocalWorker& worker, int views) {
    TrainingSpec spec = AddDataset(worker);
    spec.epochs = 4;
    spec.views = views;
    return spec;
  }

  // The same images with the last training one of each class to validate on.
  TrainingSpec ValidatedSpec(const LocalWorker& worker, int views) {
    TrainingSpec spec = Spec(worker, views);
    datasets::Manifest manifest = *control_.GetManifest(spec.dataset_digest);
    for (const size_t item : {3, 9}) {
      manifest.items[item].split = datasets::Split::kVal;
    }
    spec.shots = 3;
    spec.dataset_digest = datasets::ManifestDigest(manifest);
    spec.selection = Selection::kBestValidation;
    control_.AddManifest(spec.dataset_digest, manifest);
    return spec;
  }
};

TEST_F(ViewsJobTest, EveryEpochHasAViewThatIsEncodedOnceForAllJobs) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = Spec(*worker, 0);
  const std::string fresh = ContextOf(control_.Enqueue(spec));
  // Four views and the images that are scored.
  EXPECT_EQ(control_.recorded_features(), 5);
  double last = 0;
  for (const Progress& report : control_.progress()) {
    EXPECT_GE(report.fraction, last) << report.phase << " " << report.epoch;
    last = report.fraction;
    if (report.eta) {
      EXPECT_GE(*report.eta, absl::ZeroDuration());
    }
  }
  EXPECT_EQ(control_.progress().back().epoch, 4);

  // The same again, and other hyper-parameters: nothing is encoded.
  EXPECT_EQ(ContextOf(control_.Enqueue(spec)), fresh);
  TrainingSpec other = spec;
  other.context_tokens = 5;
  other.class_specific = true;
  ContextOf(control_.Enqueue(other));
  // A cycle goes through the first of the same views.
  TrainingSpec cycle = spec;
  cycle.views = 2;
  const std::string two = ContextOf(control_.Enqueue(cycle));
  EXPECT_EQ(control_.recorded_features(), 5);
  EXPECT_NE(two, fresh);
  // The test transform is another recipe.
  TrainingSpec plain = spec;
  plain.views = 1;
  EXPECT_NE(ContextOf(control_.Enqueue(plain)), fresh);
  EXPECT_EQ(control_.recorded_features(), 6);
}

TEST_F(ViewsJobTest, ACycleThatIsLongerThanTheJobEncodesWhatItUses) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const TrainingSpec fresh = Spec(*worker, 0);
  const std::string expected = ContextOf(control_.Enqueue(fresh));
  const int recorded = control_.recorded_features();
  TrainingSpec longer = fresh;
  longer.views = 7;
  EXPECT_EQ(ContextOf(control_.Enqueue(longer)), expected);
  EXPECT_EQ(control_.recorded_features(), recorded);
}

TEST_F(ViewsJobTest, AStoppedJobGoesOnInItsEpochWithTheSameBytes) {
  std::string whole;
  {
    const auto worker = StartWorker();
    ASSERT_NE(worker, nullptr);
    whole = ContextOf(control_.Enqueue(Spec(*worker, 0)));
  }
  LocalWorkerOptions options;
  options.checkpoint_interval = absl::ZeroDuration();
  for (const int stop_at : {2, 3}) {  // a border of epochs, and inside one
    auto stopped = StartWorker(options);
    ASSERT_NE(stopped, nullptr);
    absl::Notification reached;
    int checkpoints = 0;
    control_.OnCheckpoint([&](int) {
      if (++checkpoints == stop_at) reached.Notify();
    });
    TrainingSpec spec = Spec(*stopped, 0);
    const int64_t job = control_.Enqueue(spec);
    reached.WaitForNotification();
    stopped->Stop(absl::Now() + absl::Seconds(30));
    const std::string end = control_.WaitForEnd(job);
    control_.OnCheckpoint(nullptr);
    if (end == "published") continue;  // faster than the stop
    ASSERT_EQ(end, "released");
    const auto resumed = StartWorker();
    ASSERT_NE(resumed, nullptr);
    EXPECT_EQ(ContextOf(control_.Enqueue(spec, control_.last_checkpoint())),
              whole);
  }
}

TEST_F(ViewsJobTest, TowersOfAnotherPrecisionHaveFeaturesOfTheirOwn) {
  TrainingSpec spec;
  {
    const auto worker = StartWorker();
    ASSERT_NE(worker, nullptr);
    spec = Spec(*worker, 1);
    ContextOf(control_.Enqueue(spec));
  }
  EXPECT_EQ(control_.recorded_features(), 2);
  LocalWorkerOptions options;
  options.precision = Precision::kBFloat16;
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  ContextOf(control_.Enqueue(spec));
  EXPECT_EQ(control_.recorded_features(), 4);
}

TEST_F(ViewsJobTest, AStopWhileAViewIsEncodedGoesOnToTheSameBytes) {
  std::string whole;
  TrainingSpec spec;
  {
    const auto worker = StartWorker();
    ASSERT_NE(worker, nullptr);
    spec = ValidatedSpec(*worker, 0);
    spec.seed = 3;
    whole = ContextOf(control_.Enqueue(spec));
  }
  // Another front end knows no view: the job encodes them all again.
  control_.ForgetFeatures();
  LocalWorkerOptions options;
  options.heartbeat_interval = absl::Milliseconds(1);
  options.checkpoint_interval = absl::ZeroDuration();
  auto pausing = StartWorker(options);
  ASSERT_NE(pausing, nullptr);
  const int before = control_.recorded_features();
  control_.OnFeatures([&](int number) {
    // Validation, scored images, the first view, the second one.
    if (number == before + 4) control_.SetDirective(Directive::kPause);
  });
  EXPECT_EQ(control_.WaitForEnd(control_.Enqueue(spec)), "paused");
  control_.OnFeatures(nullptr);
  control_.SetDirective(Directive::kContinue);
  pausing->Stop(absl::Now() + absl::Seconds(30));
  const auto resumed = StartWorker();
  ASSERT_NE(resumed, nullptr);
  EXPECT_EQ(ContextOf(control_.Enqueue(spec, control_.last_checkpoint())),
            whole);
}

TEST_F(ViewsJobTest, SelectionByValidationPublishesTheEpochItTook) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const TrainingSpec spec = ValidatedSpec(*worker, 1);
  const int64_t job = control_.Enqueue(spec);
  ASSERT_EQ(control_.WaitForEnd(job), "published");
  const FinishedPrompt prompt = *control_.published(job);
  const int epoch = prompt.evaluation.selected_epoch;
  EXPECT_GE(epoch, 1);
  EXPECT_LE(epoch, spec.epochs);
  // Two validation images: none, one or both are right.
  EXPECT_EQ(prompt.evaluation.validation_accuracy * 2,
            static_cast<int>(prompt.evaluation.validation_accuracy * 2));
  // The last step of the same job is another parameter unless it was chosen.
  TrainingSpec last = spec;
  last.selection = Selection::kLastStep;
  const int64_t plain = control_.Enqueue(last);
  ASSERT_EQ(control_.WaitForEnd(plain), "published");
  const FinishedPrompt end = *control_.published(plain);
  EXPECT_EQ(end.evaluation.selected_epoch, 0);
  EXPECT_EQ(end.context_digest == prompt.context_digest, epoch == spec.epochs);
}

TEST_F(ViewsJobTest, SelectionWithoutValidationImagesFailsWithTheWayOut) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = Spec(*worker, 1);
  spec.selection = Selection::kBestValidation;
  const std::string end = control_.WaitForEnd(control_.Enqueue(spec));
  EXPECT_THAT(end, StartsWith("failed: NO_VALIDATION_IMAGES"));
  EXPECT_THAT(end, HasSubstr("with a val/ folder"));
}

}  // namespace
}  // namespace promptd::worker
