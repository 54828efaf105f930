// One executor over several workers, each behind a real connection.
#include "wire/routed_executor.h"

#include <future>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/sha256.h"
#include "gtest/gtest.h"
#include "tests/wire/wire_rig.h"

namespace promptd::wire {
namespace {

using Outcome = absl::StatusOr<worker::ClassifyOutcome>;

class RoutedExecutorTest : public ::testing::Test {
 protected:
  RoutedExecutorTest() : front_(&control_), router_(nullptr, registry()) {}
  ~RoutedExecutorTest() override {
    for (auto& [id, worker] : workers_) worker->executor().ReleaseHeld();
    workers_.clear();
  }

  const WorkerRegistry* registry() { return &front_.registry(); }
  FakeWorker& Add(const std::string& id) {
    workers_[id] = std::make_unique<FakeWorker>(id, front_.address());
    const size_t count = workers_.size();
    EXPECT_TRUE(Eventually(
        [&] { return registry()->Targets(Digest()).size() == count; }));
    return *workers_[id];
  }
  static std::string Digest() { return std::string(64, 'a'); }
  worker::ClassifyCall Call(int image) const {
    worker::ClassifyCall call;
    call.encoder_digest = Digest();
    call.pixels = {absl::MakeConstSpan(&images_.at(image), 1)};
    call.heads = {{{"f", {}}, 1}};
    return call;
  }
  std::future<Outcome> Classify(worker::Executor* executor,
                                worker::ClassifyCall call) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    executor->Classify(std::move(call), [promise](Outcome outcome) {
      promise->set_value(std::move(outcome));
    });
    return promise->get_future();
  }
  std::map<std::string, int> Calls() const {
    std::map<std::string, int> calls;
    for (const auto& [id, worker] : workers_) {
      calls[id] = worker->executor().calls();
    }
    return calls;
  }

  const std::vector<float> images_ = [] {
    std::vector<float> images(1000);
    std::iota(images.begin(), images.end(), 0.0f);
    return images;
  }();
  worker::FakeControl control_;
  FrontEnd front_;
  std::map<std::string, std::unique_ptr<FakeWorker>> workers_;
  RoutedExecutor router_;
};

TEST_F(RoutedExecutorTest, NobodyThereIsUnavailable) {
  const Outcome outcome = Classify(&router_, Call(1)).get();
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorReason(outcome.status()), "NO_WORKER");
  EXPECT_EQ(ErrorReason(router_.CheckPrompt(Digest(), 1, "", {}).status()),
            "NO_WORKER");
  EXPECT_FALSE(router_.Ready());
  EXPECT_FALSE(router_.Holds(Digest()));
}

TEST_F(RoutedExecutorTest, AnImageAlwaysGoesToTheSameWorker) {
  Add("w1");
  Add("w2");
  EXPECT_TRUE(router_.Ready());
  EXPECT_TRUE(router_.Holds(Digest()));
  EXPECT_EQ(router_.Encoders().size(), 2u);
  for (int image = 0; image < 20; ++image) {
    const auto before = Calls();
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(Classify(&router_, Call(image)).get().ok());
    }
    const auto after = Calls();
    const int first = after.at("w1") - before.at("w1");
    EXPECT_TRUE(first == 0 || first == 3) << image;
  }
  EXPECT_GT(Calls()["w1"], 0);
  EXPECT_GT(Calls()["w2"], 0);
}

TEST_F(RoutedExecutorTest, AnImageAndItsDigestGoToTheSameWorker) {
  Add("w1");
  Add("w2");
  for (int i = 0; i < 20; ++i) {
    const std::string image = absl::StrCat("image ", i);
    Sha256 sha;
    sha.Update(image);
    const std::array<uint8_t, 32> bytes = sha.Digest();
    const std::string digest(bytes.begin(), bytes.end());
    worker::ClassifyCall sent = Call(0);
    sent.pixels.clear();
    worker::ClassifyCall named = sent;
    sent.images = {image};
    named.image_digests = {digest};
    const auto before = Calls();
    EXPECT_TRUE(Classify(&router_, sent).get().ok());
    const Outcome outcome = Classify(&router_, named).get();
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(ErrorReason(outcome->images.at(0).status), "IMAGE_NOT_CACHED");
    const auto after = Calls();
    const int first = after.at("w1") - before.at("w1");
    EXPECT_TRUE(first == 0 || first == 2) << i;
  }
  EXPECT_GT(Calls()["w1"], 0);
  EXPECT_GT(Calls()["w2"], 0);
}

TEST_F(RoutedExecutorTest, ALostWorkersCallsAreAnsweredByAnotherOne) {
  FakeWorker& first = Add("w1");
  FakeWorker& second = Add("w2");
  first.executor().HoldCalls();
  second.executor().HoldCalls();
  std::vector<std::future<Outcome>> answers;
  for (int image = 0; image < 20; ++image) {
    answers.push_back(Classify(&router_, Call(image)));
  }
  first.executor().AwaitHeld(1);
  second.executor().AwaitHeld(1);
  const size_t held = first.executor().held();
  second.executor().ReleaseHeld();
  const absl::Time start = absl::Now();
  // As kill -9: both of its connections end.
  first.attachment().Stop();
  for (auto& answer : answers) {
    const Outcome outcome = answer.get();
    EXPECT_TRUE(outcome.ok()) << outcome.status();
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  EXPECT_EQ(second.executor().calls(), 20);
  EXPECT_GE(held, 1u);
}

TEST_F(RoutedExecutorTest, TwoWorkersThatAreLostCostNoCall) {
  FakeWorker& first = Add("w1");
  FakeWorker& second = Add("w2");
  FakeWorker& third = Add("w3");
  first.executor().HoldCalls();
  second.executor().HoldCalls();
  // As loaded as the second: an idle worker would get all of the first one's.
  third.executor().HoldCalls();
  std::vector<std::future<Outcome>> answers;
  for (int image = 0; image < 60; ++image) {
    answers.push_back(Classify(&router_, Call(image)));
  }
  EXPECT_TRUE(Eventually([&] {
    return first.executor().held() + second.executor().held() +
               third.executor().held() ==
           60;
  }));
  const size_t held = second.executor().held();
  first.attachment().Stop();
  // Some of the first one's calls are the second one's now, which goes as well.
  EXPECT_TRUE(Eventually([&] { return second.executor().held() > held; }));
  second.attachment().Stop();
  third.executor().ReleaseHeld();
  for (auto& answer : answers) {
    const Outcome outcome = answer.get();
    EXPECT_TRUE(outcome.ok()) << outcome.status();
  }
}

// Attached, and heard of only when its session beats.
class MuteLink : public WorkerLink {
 public:
  void HintWork() override {}
  void Close(const absl::Status&) override {}
};

TEST_F(RoutedExecutorTest, ASilentWorkersCallsMoveWithinASecond) {
  FakeWorker& other = Add("w2");
  testing::FakeExecutor stopped;
  stopped.HoldCalls();
  WorkerPort port(&stopped);
  const auto session =
      front_.registry().Attach({"w1", port.address(), "v", stopped.Encoders()},
                               std::make_shared<MuteLink>());
  ASSERT_TRUE(session.ok()) << session.status();
  std::future<Outcome> answer;
  for (int image = 0; stopped.held() == 0; ++image) {
    front_.registry().Beat(*session, true);
    answer = Classify(&router_, Call(image));
    absl::SleepFor(absl::Milliseconds(20));
  }
  const absl::Time start = absl::Now();
  const Outcome outcome = answer.get();
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(1200));
  // New calls do not go there.
  const int calls = other.executor().calls();
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Classify(&router_, Call(i)).get().ok());
  }
  EXPECT_EQ(other.executor().calls(), calls + 10);
  stopped.ReleaseHeld();
}

TEST_F(RoutedExecutorTest, AWorkerThatDrainsGetsNoCalls) {
  FakeWorker& first = Add("w1");
  Add("w2");
  first.attachment().Drain();
  ASSERT_TRUE(
      Eventually([&] { return registry()->Targets(Digest()).size() == 1; }));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Classify(&router_, Call(i)).get().ok());
  }
  EXPECT_EQ(Calls()["w1"], 0);
}

TEST_F(RoutedExecutorTest, WhatAWorkerAnsweredIsNotAskedAgain) {
  FakeWorker& first = Add("w1");
  FakeWorker& second = Add("w2");
  first.executor().FailHead(
      0, MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT", "no"));
  second.executor().FailHead(
      0, MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT", "no"));
  EXPECT_EQ(ErrorReason(Classify(&router_, Call(1)).get().status()),
            "BLOB_CORRUPT");
  EXPECT_EQ(Calls()["w1"] + Calls()["w2"], 1);
}

TEST_F(RoutedExecutorTest, TheWorkerInThisProcessTakesItsShare) {
  testing::FakeExecutor local;
  RoutedExecutor router(&local, registry());
  EXPECT_TRUE(Classify(&router, Call(1)).get().ok());
  EXPECT_EQ(local.calls(), 1);
  Add("w1");
  for (int i = 0; i < 40; ++i) {
    EXPECT_TRUE(Classify(&router, Call(i)).get().ok());
  }
  EXPECT_GT(local.calls(), 1);
  EXPECT_GT(Calls()["w1"], 0);
  EXPECT_EQ(router.Encoders().size(), 2u);
}

TEST_F(RoutedExecutorTest, AnEncoderStaysKnownWhileItsWorkerRestarts) {
  Add("w1");
  workers_.clear();
  ASSERT_TRUE(Eventually([&] { return registry()->Workers().empty(); }));
  EXPECT_EQ(router_.Encoders().size(), 2u);
  EXPECT_FALSE(router_.Holds(Digest()));
  EXPECT_EQ(ErrorReason(Classify(&router_, Call(1)).get().status()),
            "NO_WORKER");
}

TEST_F(RoutedExecutorTest, OtherCallsGoToAWorkerThatHoldsTheEncoder) {
  Add("w1");
  const auto check = router_.CheckPrompt(Digest(), 4, "", {"cat"});
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->total_tokens, std::vector<int>{8});
  std::promise<absl::StatusOr<std::vector<worker::TextOutcome>>> texts;
  router_.EmbedTexts({Digest(), {"a cat"}},
                     [&](auto outcome) { texts.set_value(outcome); });
  EXPECT_TRUE(texts.get_future().get().ok());
  std::promise<absl::StatusOr<worker::EncoderVerification>> verified;
  router_.VerifyEncoder({std::string(64, 'f')},
                        [&](auto outcome) { verified.set_value(outcome); });
  EXPECT_EQ(ErrorReason(verified.get_future().get().status()), "NO_WORKER");
}

}  // namespace
}  // namespace promptd::wire
