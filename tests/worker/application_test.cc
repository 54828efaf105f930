// Jobs of 0 epochs: a context is applied to classes as it is.
#include "common/error.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

using ::testing::StartsWith;

class ApplicationTest : public WorkerFixture {
 protected:
  void SetUp() override {
    worker_ = StartWorker();
    ASSERT_NE(worker_, nullptr);
    trained_ = AddDataset(*worker_);
    const int64_t job = control_.Enqueue(trained_);
    ASSERT_EQ(control_.WaitForEnd(job), "published");
    learned_ = *control_.published(job);
  }

  TrainingSpec Applying() const {
    TrainingSpec spec = trained_;
    spec.epochs = 0;
    spec.shots = 0;
    spec.warmup_epochs = 0;
    spec.initial_context_digest = learned_.context_digest;
    return spec;
  }

  std::unique_ptr<LocalWorker> worker_;
  TrainingSpec trained_;
  FinishedPrompt learned_;
};

TEST_F(ApplicationTest, GivesTheSamePromptAndTheSameResult) {
  const int64_t job = control_.Enqueue(Applying());
  ASSERT_EQ(control_.WaitForEnd(job), "published");
  const FinishedPrompt prompt = *control_.published(job);
  EXPECT_EQ(prompt.context_digest, learned_.context_digest);
  EXPECT_EQ(prompt.features_digest, learned_.features_digest);
  EXPECT_EQ(prompt.evaluation.images, learned_.evaluation.images);
  EXPECT_EQ(prompt.evaluation.accuracy, learned_.evaluation.accuracy);
  EXPECT_EQ(prompt.evaluation.ece, learned_.evaluation.ece);
}

TEST_F(ApplicationTest, AListOfClassesNeedsNoImages) {
  TrainingSpec spec = Applying();
  spec.dataset.clear();
  spec.dataset_digest.clear();
  spec.class_names = {"an owl", "a tit", "a wren"};
  const int64_t job = control_.Enqueue(spec);
  ASSERT_EQ(control_.WaitForEnd(job), "published");
  const FinishedPrompt prompt = *control_.published(job);
  EXPECT_EQ(prompt.class_names, spec.class_names);
  EXPECT_EQ(prompt.context_digest, learned_.context_digest);
  EXPECT_FALSE(prompt.evaluation.scored());
  ClassifyCall call = ZeroShotCall(*worker_, {Image("jpeg_420.jpeg")});
  call.heads[0].text = {prompt.features_digest, {}};
  const auto outcome = Classify(worker_.get(), call);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->images[0].scores.at(0).size(), 3u);
}

TEST_F(ApplicationTest, AContextOfAnotherShapeIsRefused) {
  TrainingSpec spec = Applying();
  spec.class_specific = true;
  const int64_t job = control_.Enqueue(spec);
  EXPECT_THAT(control_.WaitForEnd(job),
              StartsWith("failed: BAD_INITIAL_CONTEXT"));
}

TEST(ContextShapeTest, IsStrict) {
  FloatTensor tensor;
  tensor.shape = {2, 3};
  tensor.values.assign(6, 1.0f);
  const auto shape = ContextShape(*SerializeTensor("ctx", tensor));
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_EQ(*shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(ErrorReason(ContextShape(*SerializeTensor("c", tensor)).status()),
            "BAD_CONTEXT");
  tensor.values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ErrorReason(ContextShape(*SerializeTensor("ctx", tensor)).status()),
            "BAD_CONTEXT");
}

}  // namespace
}  // namespace promptd::worker
