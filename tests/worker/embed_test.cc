// Embeddings against the encoder itself, and their way through the device.
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <atomic>
#include <cmath>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "clip/plain_text_encoder.h"
#include "clip/text_weights.h"
#include "common/error.h"
#include "datasets/preprocess.h"
#include "tests/worker/worker_fixture.h"
#include "weights/encoder_folder.h"
#include "worker/classifier.h"
#include "worker/encoder_set.h"
#include "worker/prompt_features.h"
#include "worker/text_embedder.h"
#include "worker/tuned_encoders.h"

namespace promptd::worker {
namespace {

constexpr double kEmbeddingTolerance = 1e-5;

// Collects decodes and batch sizes.
class BatchObserver : public Observer {
 public:
  void OnStage(Stage stage, absl::Duration) override {
    absl::MutexLock lock(&mutex_);
    if (stage == Stage::kDecode) ++decoded_;
  }
  void OnBatch(int images, int) override {
    absl::MutexLock lock(&mutex_);
    batches_.push_back(images);
  }
  void AwaitDecoded(int count) {
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return decoded_ >= count;
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&reached));
  }
  std::vector<int> batches() {
    absl::MutexLock lock(&mutex_);
    return batches_;
  }

 private:
  absl::Mutex mutex_;
  int decoded_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<int> batches_ ABSL_GUARDED_BY(mutex_);
};

// `embedding` is `feature` [E] divided by its length.
void ExpectNormalized(const Embedding& embedding,
                      absl::Span<const float> feature) {
  ASSERT_EQ(embedding.values.size(), feature.size());
  double square = 0;
  for (const float value : feature) square += double{value} * value;
  const double norm = std::sqrt(square);
  EXPECT_NEAR(embedding.norm, norm, kEmbeddingTolerance * norm);
  double length = 0;
  double difference = 0;
  for (size_t i = 0; i < feature.size(); ++i) {
    length += double{embedding.values[i]} * embedding.values[i];
    difference =
        std::max(difference, std::abs(embedding.values[i] - feature[i] / norm));
  }
  EXPECT_NEAR(length, 1.0, kEmbeddingTolerance);
  EXPECT_LE(difference, kEmbeddingTolerance);
}

class EmbedTest : public WorkerFixture {
 protected:
  // The encoder that the worker has, loaded apart.
  static const clip::Encoder& Reference() {
    static const auto encoder = *clip::Encoder::Load(Folder());
    return *encoder;
  }
  static const weights::EncoderFolder& Folder() {
    static const auto folder =
        *weights::EncoderFolder::Open(SourceDir() + "/models/embedded");
    return folder;
  }
  // CLIP's own path over all positions -> [E].
  static std::vector<float> PlainFeature(std::vector<int32_t> row) {
    const auto length = Reference().config().text.context_length;
    const at::Tensor ids = at::zeros({1, length}, at::kLong);
    std::copy(row.begin(), row.end(), ids.mutable_data_ptr<int64_t>());
    static const clip::TextWeights weights =
        *clip::TextWeights::Load(Folder().config, Folder().tensors);
    const at::Tensor feature = clip::EncodeTokens(weights, ids).contiguous();
    const float* values = feature.const_data_ptr<float>();
    return {values, values + feature.numel()};
  }
  ClassifyCall EmbedCall(const LocalWorker& worker,
                         const std::vector<std::string>& images) {
    ClassifyCall call;
    call.encoder_digest = worker.Encoders()[0].digest;
    call.embed = true;
    for (const std::string& image : images) call.images.push_back(Keep(image));
    return call;
  }
  EmbedTextsCall TextCall(std::vector<std::string> texts) const {
    EmbedTextsCall call;
    call.encoder_digest = Reference().digest();
    call.texts = std::move(texts);
    return call;
  }
  template <typename Embedder>
  static absl::StatusOr<std::vector<TextOutcome>> Embed(Embedder* embedder,
                                                        EmbedTextsCall call) {
    absl::Notification answered;
    absl::StatusOr<std::vector<TextOutcome>> result =
        absl::UnknownError("unanswered");
    embedder->EmbedTexts(std::move(call), [&](auto outcome) {
      result = std::move(outcome);
      answered.Notify();
    });
    answered.WaitForNotification();
    return result;
  }
};

TEST_F(EmbedTest, ImagesAreTheEncodersFeaturesAtUnitLength) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const std::vector<std::string> images = {Image("jpeg_444.jpeg"),
                                           Image("png_48x64_to_64.png")};
  const auto outcome = Classify(
      worker.get(), EmbedCall(*worker, {images[0], "not an image", images[1]}));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->images.size(), 3u);
  EXPECT_EQ(ErrorReason(outcome->images[1].status), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_TRUE(outcome->images[1].embedding.values.empty());
  const int64_t side = Reference().config().vision.image_size;
  for (const size_t i : {0, 1}) {
    const auto pixels =
        datasets::PreprocessImage(images[i], PreprocessOptionsOf(Reference()));
    ASSERT_TRUE(pixels.ok()) << pixels.status();
    const auto features =
        Reference().EncodeImages(FloatTensor{{1, 3, side, side}, *pixels});
    ASSERT_TRUE(features.ok()) << features.status();
    ExpectNormalized(outcome->images[2 * i].embedding, features->values);
    EXPECT_TRUE(outcome->images[2 * i].scores.empty());
  }
}

TEST_F(EmbedTest, SharesABatchWithClassifyCalls) {
  const auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                         clip::EncoderOptions());
  ASSERT_TRUE(encoders.ok()) << encoders.status();
  BatchObserver observer;
  DeviceLoop loop;
  ClassifierOptions options;
  options.decode_threads = 1;
  TunedEncoders tuned(1, &*encoders, &loop, nullptr);
  BatchTimes times;
  Classifier classifier(options, &tuned, &times, &loop, &observer, nullptr);
  absl::Notification release;
  loop.PostServing([&] { release.WaitForNotification(); });
  const std::string image = Image("jpeg_420.jpeg");
  ClassifyCall call;
  call.encoder_digest = Reference().digest();
  call.images = {image, image};
  call.heads = {{.text = {.texts = {"a dog", "a cat"}}, .top_k = 2}};
  call.no_cache = true;
  ClassifyOutcome classified, embedded;
  absl::Notification answers[2];
  classifier.Classify(call, [&](auto outcome) {
    classified = outcome.value_or(ClassifyOutcome());
    answers[0].Notify();
  });
  call.embed = true;
  call.heads.clear();
  call.images = {image, "not an image"};
  classifier.Classify(call, [&](auto outcome) {
    embedded = outcome.value_or(ClassifyOutcome());
    answers[1].Notify();
  });
  // The one decoder has queued the three good images when it reaches the bad.
  observer.AwaitDecoded(4);
  release.Notify();
  for (absl::Notification& answer : answers) answer.WaitForNotification();
  EXPECT_EQ(observer.batches(), std::vector<int>{3});
  ASSERT_EQ(classified.images.size(), 2u);
  EXPECT_EQ(classified.images[0].scores.at(0).size(), 2u);
  EXPECT_TRUE(classified.images[0].embedding.values.empty());
  ASSERT_EQ(embedded.images.size(), 2u);
  EXPECT_EQ(embedded.images[0].embedding.values.size(),
            static_cast<size_t>(Reference().config().embed_dim));
  EXPECT_FALSE(embedded.images[1].status.ok());
}

TEST_F(EmbedTest, TextsAreClipsFeaturesAtUnitLength) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  // More than one unit, of very different lengths, one of them empty.
  std::vector<std::string> texts = {"a photo of a dog.", "", "two\nlines"};
  for (int i = 0; i < 30; ++i) {
    texts.emplace_back("a red square beside ");
    for (int word = 0; word < i; ++word) texts.back() += "a dog ";
  }
  const auto outcome = Embed(worker.get(), TextCall(texts));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const TextOutcome& one = (*outcome)[i];
    ASSERT_TRUE(one.status.ok()) << i << ": " << one.status;
    ExpectNormalized(one.embedding,
                     PlainFeature(*Reference().tokenizer().EncodeWithMarkers(
                         texts[i], Reference().config().text.context_length)));
  }
}

TEST_F(EmbedTest, ALongTextIsRefusedAloneOrCut) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const int length = Reference().config().text.context_length;
  std::string text = "dog";
  for (int i = 0; i < length; ++i) text += " dog";
  EmbedTextsCall call = TextCall(
      {text, "a dog", "a \xff dog", "a <end_of_text>", std::string(5000, 'a')});
  auto outcome = Embed(worker.get(), call);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(ErrorReason((*outcome)[0].status), "TEXT_TOO_LONG");
  EXPECT_TRUE((*outcome)[0].embedding.values.empty());
  EXPECT_TRUE((*outcome)[1].status.ok());
  EXPECT_EQ(ErrorReason((*outcome)[2].status), "BAD_UTF8");
  EXPECT_EQ(ErrorReason((*outcome)[3].status), "RESERVED_TEXT");
  EXPECT_EQ(ErrorReason((*outcome)[4].status), "TEXT_TOO_LONG");

  call.truncate = true;
  outcome = Embed(worker.get(), call);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_TRUE((*outcome)[0].status.ok()) << (*outcome)[0].status;
  std::vector<int32_t> row(length,
                           Reference().tokenizer().Encode("dog")->at(0));
  row.front() = Reference().tokenizer().sot_id();
  row.back() = Reference().tokenizer().eot_id();
  ExpectNormalized((*outcome)[0].embedding, PlainFeature(row));
  EXPECT_EQ(ErrorReason((*outcome)[2].status), "BAD_UTF8");
  EXPECT_EQ(ErrorReason((*outcome)[4].status), "TEXT_TOO_LONG");
}

TEST_F(EmbedTest, TextCallsEndForTheReasonsOfImageCalls) {
  LocalWorkerOptions options;
  options.max_queued_texts = 2;
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  EmbedTextsCall late = TextCall({"a"});
  late.deadline = absl::Now() - absl::Seconds(1);
  EmbedTextsCall gone = TextCall({"a"});
  gone.cancelled = [] { return true; };
  EmbedTextsCall foreign = TextCall({"a"});
  foreign.encoder_digest = std::string(64, 'f');
  const auto reason = [&](EmbedTextsCall call) {
    return ErrorReason(Embed(worker.get(), std::move(call)).status());
  };
  EXPECT_EQ(reason(late), "DEADLINE_EXPIRED");
  EXPECT_EQ(reason(gone), "CANCELLED");
  EXPECT_EQ(reason(foreign), "ENCODER_NOT_HELD");
  EXPECT_EQ(reason(TextCall({})), "NO_TEXTS");
  EXPECT_EQ(reason(TextCall({"a", "b", "c"})), "QUEUE_FULL");
  EXPECT_TRUE(Embed(worker.get(), TextCall({"a", "b"})).ok());
  worker->Stop(absl::Now() + absl::Seconds(10));
  EXPECT_EQ(reason(TextCall({"a"})), "SHUTTING_DOWN");
}

TEST_F(EmbedTest, OtherWorkAndTheCallersEndComeBetweenUnits) {
  const auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                         clip::EncoderOptions());
  ASSERT_TRUE(encoders.ok()) << encoders.status();
  DeviceLoop loop;
  TextEmbedderOptions options;
  options.max_unit_tokens = 1;  // one text a unit
  TextEmbedder embedder(options, &*encoders, &loop);
  absl::Notification release, first_done, second_done;
  std::atomic<bool> gone = false;
  loop.PostServing([&] { release.WaitForNotification(); });
  EmbedTextsCall call = TextCall({"a", "b", "c"});
  call.cancelled = [&] { return gone.load(); };
  absl::StatusOr<std::vector<TextOutcome>> first, second;
  embedder.EmbedTexts(call, [&](auto outcome) {
    first = std::move(outcome);
    first_done.Notify();
  });
  embedder.EmbedTexts(TextCall({"d"}), [&](auto outcome) {
    second = std::move(outcome);
    second_done.Notify();
  });
  // Behind the first unit, before the second.
  loop.PostServing([&] { gone = true; });
  release.Notify();
  first_done.WaitForNotification();
  second_done.WaitForNotification();
  EXPECT_EQ(ErrorReason(first.status()), "CANCELLED");
  EXPECT_TRUE(second.ok()) << second.status();
  embedder.Stop(absl::InfiniteFuture());
}

}  // namespace
}  // namespace promptd::worker
