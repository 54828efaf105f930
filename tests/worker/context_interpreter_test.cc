// Contexts made of known words, read back through the worker.
#include "worker/context_interpreter.h"

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/text_tower.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"
#include "weights/encoder_folder.h"
#include "worker/encoder_set.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

using ::testing::ElementsAre;

using Words = absl::StatusOr<std::vector<VectorWords>>;

class ContextInterpreterTest : public WorkerFixture {
 protected:
  static const clip::Encoder& Reference() {
    static const auto encoder = *clip::Encoder::Load(
        *weights::EncoderFolder::Open(SourceDir() + "/models/embedded"));
    return *encoder;
  }
  // The embeddings of a text's tokens, one behind the other.
  static std::vector<float> Embeddings(const std::string& text) {
    static const FloatTensor table =
        clip::ToFloatTensor(Reference().text_tower()->token_embedding());
    const auto ids = Reference().tokenizer().Encode(text);
    std::vector<float> values;
    for (const int32_t id : ids.value()) {
      const auto row = table.values.begin() + id * table.shape[1];
      values.insert(values.end(), row, row + table.shape[1]);
    }
    return values;
  }
  static int64_t Width() { return Reference().config().text.width; }

  std::string Store(std::vector<int64_t> shape, std::vector<float> values,
                    const std::string& name = "ctx") {
    const auto blob = SerializeTensor(name, {std::move(shape), values});
    return control_.PutBlob(blob.value()).value();
  }
  // "a photo of a", shared by all classes.
  InterpretCall Unified() {
    InterpretCall call;
    call.encoder_digest = Reference().digest();
    call.context_digest = Store({4, Width()}, Embeddings("a photo of a"));
    call.context_tokens = 4;
    return call;
  }
  ContextInterpreter::BlobReader Reader() {
    return
        [this](const std::string& digest) { return control_.GetBlob(digest); };
  }
  template <typename Interpreter>
  static Words Interpret(Interpreter* interpreter, InterpretCall call) {
    absl::Notification answered;
    Words result = absl::UnknownError("unanswered");
    interpreter->Interpret(std::move(call), [&](Words outcome) {
      result = std::move(outcome);
      answered.Notify();
    });
    answered.WaitForNotification();
    return result;
  }
  static std::vector<std::string> Nearest(const Words& words) {
    std::vector<std::string> tokens;
    for (const VectorWords& one : words.value()) {
      EXPECT_EQ(one.words.at(0).distance, 0);
      tokens.push_back(one.words.at(0).token);
    }
    return tokens;
  }
};

TEST_F(ContextInterpreterTest, AContextOfWordsGivesThemBack) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const Words words = Interpret(worker.get(), Unified());
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_THAT(Nearest(words),
              ElementsAre("a</w>", "photo</w>", "of</w>", "a</w>"));
  const VectorWords& photo = (*words)[1];
  ASSERT_EQ(photo.words.size(), 3u);
  EXPECT_EQ(photo.words[0].token_id,
            Reference().tokenizer().Encode("photo")->at(0));
  EXPECT_LT(0, photo.words[1].distance);
  EXPECT_LE(photo.words[1].distance, photo.words[2].distance);
  double square = 0;
  for (const float value : Embeddings("photo")) square += double{value} * value;
  EXPECT_DOUBLE_EQ(photo.norm, std::sqrt(square));
}

TEST_F(ContextInterpreterTest, OnlyTheClassesThatWereAskedForAreRead) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  InterpretCall call = Unified();
  call.context_digest =
      Store({3, 2, Width()}, Embeddings("a photo red square blue dog"));
  call.context_tokens = 2;
  call.classes = 3;
  call.class_indexes = {2, 0};
  const Words words = Interpret(worker.get(), call);
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_THAT(Nearest(words),
              ElementsAre("blue</w>", "dog</w>", "a</w>", "photo</w>"));
}

TEST_F(ContextInterpreterTest, CallsEndForTheReasonsOfOthers) {
  const auto worker = StartWorker();
  ASSERT_NE(worker, nullptr);
  const auto reason = [&](InterpretCall call) {
    return ErrorReason(Interpret(worker.get(), std::move(call)).status());
  };
  InterpretCall late = Unified();
  late.deadline = absl::Now() - absl::Seconds(1);
  InterpretCall gone = Unified();
  gone.cancelled = [] { return true; };
  InterpretCall foreign = Unified();
  foreign.encoder_digest = std::string(64, 'f');
  InterpretCall lost = Unified();
  lost.context_digest = std::string(64, 'f');
  InterpretCall garbage = Unified();
  garbage.context_digest = *control_.PutBlob("no safetensors");
  InterpretCall other_name = Unified();
  other_name.context_digest =
      Store({1, Width()}, Embeddings("dog"), "text_features");
  InterpretCall longer = Unified();
  longer.context_tokens = 5;
  InterpretCall of_classes = Unified();
  of_classes.classes = 2;
  of_classes.class_indexes = {1};
  EXPECT_EQ(reason(late), "DEADLINE_EXPIRED");
  EXPECT_EQ(reason(gone), "CANCELLED");
  EXPECT_EQ(reason(foreign), "ENCODER_NOT_HELD");
  EXPECT_EQ(reason(lost), "BLOB_NOT_FOUND");
  for (const InterpretCall& call : {garbage, other_name, longer, of_classes}) {
    EXPECT_EQ(reason(call), "BLOB_CORRUPT");
  }
  EXPECT_EQ(reason(Unified()), "OK");
  worker->Stop(absl::Now() + absl::Seconds(10));
  EXPECT_EQ(reason(Unified()), "SHUTTING_DOWN");
}

TEST_F(ContextInterpreterTest, OtherWorkAndTheCallersEndComeBetweenUnits) {
  const auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                         clip::EncoderOptions());
  ASSERT_TRUE(encoders.ok()) << encoders.status();
  DeviceLoop loop;
  ContextInterpreterOptions options;
  options.max_unit_vectors = 1;
  ContextInterpreter interpreter(options, &*encoders, &loop, Reader());
  std::atomic<int> polls = 0;
  std::atomic<bool> gone = false;
  InterpretCall call = Unified();
  // Polled before the blob is read, then by each unit on the device thread:
  // while the second asks, other work gets in line before the third.
  call.cancelled = [&] {
    if (++polls == 3) loop.PostServing([&] { gone = true; });
    return gone.load();
  };
  EXPECT_EQ(ErrorReason(Interpret(&interpreter, call).status()), "CANCELLED");
  EXPECT_EQ(polls, 4);
  call.cancelled = nullptr;
  EXPECT_TRUE(Interpret(&interpreter, call).ok());
}

TEST_F(ContextInterpreterTest, WaitingCallsAreBoundedAndAnsweredAtTheEnd) {
  const auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                         clip::EncoderOptions());
  ASSERT_TRUE(encoders.ok()) << encoders.status();
  DeviceLoop loop;
  absl::Notification reading, release;
  ContextInterpreterOptions options;
  options.max_queued_calls = 1;
  std::atomic<int> reads = 0;
  ContextInterpreter interpreter(options, &*encoders, &loop,
                                 [&](const std::string& digest) {
                                   if (++reads == 1) {
                                     reading.Notify();
                                     release.WaitForNotification();
                                   }
                                   return control_.GetBlob(digest);
                                 });
  std::string reasons[2];
  absl::Notification answers[2];
  for (int i = 0; i < 2; ++i) {
    interpreter.Interpret(Unified(), [&, i](const Words& words) {
      reasons[i] = words.ok() ? "ok" : ErrorReason(words.status());
      answers[i].Notify();
    });
    if (i == 0) reading.WaitForNotification();
  }
  EXPECT_EQ(ErrorReason(Interpret(&interpreter, Unified()).status()),
            "QUEUE_FULL");
  std::thread stop([&] { interpreter.Stop(absl::InfinitePast()); });
  // Refused as stopping, not as full, once Stop() is under way.
  while (ErrorReason(Interpret(&interpreter, Unified()).status()) !=
         "SHUTTING_DOWN") {
  }
  release.Notify();
  stop.join();
  for (int i = 0; i < 2; ++i) {
    answers[i].WaitForNotification();
    EXPECT_EQ(reasons[i], "SHUTTING_DOWN");
  }
}

}  // namespace
}  // namespace promptd::worker
