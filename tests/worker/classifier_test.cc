#include <numeric>

#include "absl/time/clock.h"
#include "common/error.h"
#include "common/float_tensor.h"
#include "tests/worker/worker_fixture.h"
#include "worker/head_blob.h"
#include "worker/prompt_features.h"

namespace promptd::worker {
namespace {

class ClassifierTest : public WorkerFixture {};

TEST_F(ClassifierTest, AnswersEveryImageAndABadOneAlone) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const auto outcome =
      Classify(worker.get(),
               ZeroShotCall(*worker, {Image("jpeg_444.jpeg"), "not an image",
                                      Image("png_48x64_to_64.png")}));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->images.size(), 3u);
  EXPECT_EQ(ErrorReason(outcome->images[1].status), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_TRUE(outcome->images[1].scores.empty());
  for (const int i : {0, 2}) {
    const ImageOutcome& image = outcome->images[i];
    ASSERT_TRUE(image.status.ok()) << image.status;
    ASSERT_EQ(image.scores.size(), 1u);
    const std::vector<Scored>& scores = image.scores[0];
    ASSERT_EQ(scores.size(), 3u);
    float total = 0;
    for (const Scored& score : scores) total += score.probability;
    EXPECT_NEAR(total, 1.0f, 1e-5);
    EXPECT_GE(scores[0].probability, scores[1].probability);
  }
  EXPECT_GT(outcome->timings.decode, absl::ZeroDuration());
  EXPECT_GT(outcome->timings.encode, absl::ZeroDuration());
}

TEST_F(ClassifierTest, AnImagesScoresDoNotDependOnItsBatch) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const std::string image = Image("jpeg_420.jpeg");
  const auto alone = Classify(worker.get(), ZeroShotCall(*worker, {image}));
  ClassifyCall copies =
      ZeroShotCall(*worker, std::vector<std::string>(40, image));
  copies.no_cache = true;
  const auto many = Classify(worker.get(), copies);
  ASSERT_TRUE(alone.ok());
  ASSERT_TRUE(many.ok());
  const std::vector<Scored>& lone = alone->images[0].scores.at(0);
  for (const ImageOutcome& outcome : many->images) {
    const std::vector<Scored>& scores = outcome.scores.at(0);
    ASSERT_EQ(scores.size(), 3u);
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(scores[k].class_index, lone[k].class_index);
      EXPECT_NEAR(scores[k].similarity, lone[k].similarity, 1e-5);
    }
  }
}

TEST_F(ClassifierTest, ALearnedPromptComesFromItsBlob) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const int width = worker->Encoders()[0].embed_dim;
  FloatTensor text = {{2, width}, std::vector<float>(2 * width, 0.0f)};
  text.values[0] = 1;
  text.values[width + 1] = 1;
  ClassifyCall call = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
  TextSide& side = call.heads[0].text;
  side.texts.clear();
  side.features_digest = *control_.PutBlob(*SerializeHead({text}));
  const auto outcome = Classify(worker.get(), call);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->images[0].scores.at(0).size(), 2u);

  side.features_digest = std::string(64, '0');
  EXPECT_EQ(ErrorReason(Classify(worker.get(), call).status()),
            "BLOB_NOT_FOUND");
  text.values[0] = std::numeric_limits<float>::quiet_NaN();
  side.features_digest = *control_.PutBlob("no safetensors at all");
  EXPECT_EQ(ErrorReason(Classify(worker.get(), call).status()), "BLOB_CORRUPT");
}

TEST_F(ClassifierTest, DropsWhatNobodyWaitsFor) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  ClassifyCall late = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
  late.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(ErrorReason(Classify(worker.get(), late).status()),
            "DEADLINE_EXPIRED");
  ClassifyCall gone = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
  gone.cancelled = [] { return true; };
  EXPECT_EQ(Classify(worker.get(), gone).status().code(),
            absl::StatusCode::kCancelled);
}

TEST_F(ClassifierTest, RefusesWhatDoesNotFitTheQueue) {
  LocalWorkerOptions options;
  options.max_queued_images = 2;
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  const std::string image = Image("jpeg_420.jpeg");
  EXPECT_EQ(ErrorReason(Classify(worker.get(),
                                 ZeroShotCall(*worker, {image, image, image}))
                            .status()),
            "QUEUE_FULL");
  EXPECT_TRUE(
      Classify(worker.get(), ZeroShotCall(*worker, {image, image})).ok());
}

TEST_F(ClassifierTest, NamesWhatItDoesNotHold) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  ClassifyCall call = ZeroShotCall(*worker, {Image("jpeg_420.jpeg")});
  call.encoder_digest = std::string(64, 'f');
  EXPECT_EQ(ErrorReason(Classify(worker.get(), call).status()),
            "ENCODER_NOT_HELD");
  EXPECT_EQ(
      ErrorReason(Classify(worker.get(), ZeroShotCall(*worker, {})).status()),
      "NO_IMAGES");
}

TEST_F(ClassifierTest, AnswersWhatWasAdmittedAndRefusesTheRestAfterStop) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  EXPECT_TRUE(worker->Ready());
  worker->Stop(absl::Now() + absl::Seconds(10));
  EXPECT_FALSE(worker->Ready());
  EXPECT_EQ(
      ErrorReason(Classify(worker.get(),
                           ZeroShotCall(*worker, {Image("jpeg_420.jpeg")}))
                      .status()),
      "SHUTTING_DOWN");
}

TEST_F(ClassifierTest, CountsThePromptsTokens) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const auto check = worker->CheckPrompt(worker->Encoders()[0].digest, 16,
                                         "a photo of a", {"dog", "big dog"});
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->init_tokens, 4);
  EXPECT_EQ(check->total_tokens, (std::vector<int>{16 + 4, 16 + 5}));
}

}  // namespace
}  // namespace promptd::worker
