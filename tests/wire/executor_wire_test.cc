// worker::Executor over a real connection.
#include <future>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/wire/wire_rig.h"
#include "wire/channel.h"
#include "wire/executor_client.h"

namespace promptd::wire {
namespace {

using Outcome = absl::StatusOr<worker::ClassifyOutcome>;

class ExecutorWireTest : public ::testing::Test {
 protected:
  ExecutorWireTest()
      : port_(&executor_),
        client_(channels_.Connect(port_.address()), TestToken(), "worker w1") {}
  ~ExecutorWireTest() override { executor_.ReleaseHeld(); }

  worker::ClassifyCall Pixels() const {
    worker::ClassifyCall call;
    call.tenant = "t";
    call.encoder_digest = executor_.Encoders().at(0).digest;
    call.pixels = {pixels_};
    call.heads = {{{"f", {}}, 2}};
    return call;
  }
  std::future<Outcome> Classify(worker::ClassifyCall call) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    client_.Classify(std::move(call), [promise](Outcome outcome) {
      promise->set_value(std::move(outcome));
    });
    return promise->get_future();
  }

  const std::vector<float> pixels_ = {1, 2, 3};
  testing::FakeExecutor executor_;
  WorkerPort port_;
  Channels channels_;
  ExecutorClient client_;
};

TEST_F(ExecutorWireTest, ACallArrivesAndItsAnswerComesBack) {
  const Outcome outcome = Classify(Pixels()).get();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_EQ(outcome->images.size(), 1u);
  EXPECT_EQ(outcome->images[0].scores.at(0).at(0).probability, 0.5f);
  EXPECT_EQ(outcome->total, absl::Milliseconds(9));
  EXPECT_EQ(executor_.last_pixels(), std::vector<std::vector<float>>{pixels_});
  EXPECT_EQ(executor_.last_call().tenant, "t");
}

TEST_F(ExecutorWireTest, ABadImageIsAnOutcome) {
  worker::ClassifyCall call = Pixels();
  call.pixels.clear();
  const std::string image = "no image";
  call.images = {image};
  const Outcome outcome = Classify(call).get();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(ErrorReason(outcome->images.at(0).status), "IMAGE_UNKNOWN_FORMAT");
}

TEST_F(ExecutorWireTest, TextsChecksAndWords) {
  std::promise<absl::StatusOr<std::vector<worker::TextOutcome>>> texts;
  client_.EmbedTexts({"e", {"a cat", "a a a a a a a a a a a"}},
                     [&](auto outcome) { texts.set_value(outcome); });
  const auto outcomes = texts.get_future().get();
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  EXPECT_EQ(outcomes->at(0).embedding.norm, 5.0f);
  EXPECT_EQ(ErrorReason(outcomes->at(1).status), "TEXT_TOO_LONG");

  std::promise<absl::StatusOr<worker::EncoderVerification>> verified;
  client_.VerifyEncoder({executor_.Encoders().at(0).digest},
                        [&](auto outcome) { verified.set_value(outcome); });
  EXPECT_TRUE(verified.get_future().get()->passed);

  worker::InterpretCall interpret;
  interpret.context_tokens = 2;
  interpret.top_k = 1;
  std::promise<absl::StatusOr<std::vector<worker::VectorWords>>> words;
  client_.Interpret(interpret, [&](auto outcome) { words.set_value(outcome); });
  EXPECT_EQ(words.get_future().get()->at(1).norm, 2);

  const auto check = client_.CheckPrompt(executor_.Encoders().at(0).digest, 4,
                                         "a photo", {"cat"});
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->total_tokens, std::vector<int>{8});
  EXPECT_EQ(check->init_tokens, 2);
  EXPECT_EQ(ErrorReason(client_.CheckPrompt("none", 4, "", {}).status()),
            "ENCODER_NOT_HELD");
}

TEST_F(ExecutorWireTest, AnExceptionIsAnAnswer) {
  executor_.ThrowFromNowOn();
  const Outcome outcome = Classify(Pixels()).get();
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ErrorReason(outcome.status()), "EXCEPTION");
}

TEST_F(ExecutorWireTest, TheDeadlineCrosses) {
  executor_.HoldCalls();
  worker::ClassifyCall call = Pixels();
  call.deadline = absl::Now() + absl::Milliseconds(100);
  const Outcome outcome = Classify(call).get();
  EXPECT_EQ(ErrorReason(outcome.status()), "DEADLINE_EXPIRED");
  EXPECT_LT(executor_.last_call().deadline,
            absl::Now() + absl::Milliseconds(100));
}

TEST_F(ExecutorWireTest, ACallerThatGoesAwayCancelsTheWork) {
  executor_.HoldCalls();
  std::atomic<bool> gone = false;
  worker::ClassifyCall call = Pixels();
  call.cancelled = [&gone] { return gone.load(); };
  auto answer = Classify(call);
  executor_.AwaitHeld(1);
  EXPECT_FALSE(executor_.last_call().cancelled());
  gone = true;
  EXPECT_EQ(ErrorReason(answer.get().status()), "CANCELLED");
  EXPECT_TRUE(Eventually([&] { return executor_.last_call().cancelled(); }));
}

TEST_F(ExecutorWireTest, ALostWorkerHasNotAnswered) {
  executor_.HoldCalls();
  auto answer = Classify(Pixels());
  executor_.AwaitHeld(1);
  client_.Abandon();
  EXPECT_TRUE(IsUnreachable(answer.get().status()));
  executor_.ReleaseHeld();
  port_.Kill();
  EXPECT_TRUE(IsUnreachable(Classify(Pixels()).get().status()));
}

// As one may that is stopping.
class CancellingExecutor : public testing::FakeExecutor {
 public:
  void Classify(worker::ClassifyCall /*call*/, ClassifyCallback done) override {
    done(absl::CancelledError("the call was cancelled"));
  }
  absl::StatusOr<worker::PromptCheck> CheckPrompt(
      const std::string& /*encoder_digest*/, int /*context_tokens*/,
      const std::string& /*context_init*/,
      const std::vector<std::string>& /*class_names*/) const override {
    return absl::CancelledError("the call was cancelled");
  }
};

TEST_F(ExecutorWireTest, AWorkerThatCancelsItsCallsHasNotAnswered) {
  CancellingExecutor cancelling;
  WorkerPort port(&cancelling);
  ExecutorClient client(channels_.Connect(port.address()), TestToken(),
                        "worker w2");
  for (const bool gone : {false, true}) {
    worker::ClassifyCall call = Pixels();
    call.cancelled = [gone] { return gone; };
    std::promise<Outcome> promise;
    client.Classify(std::move(call), [&](Outcome outcome) {
      promise.set_value(std::move(outcome));
    });
    const absl::Status status = promise.get_future().get().status();
    EXPECT_EQ(IsUnreachable(status), !gone) << status;
  }
  const absl::Status check = client.CheckPrompt("", 4, "", {}).status();
  EXPECT_TRUE(IsUnreachable(check)) << check;
}

TEST_F(ExecutorWireTest, TheClientMayGoBeforeItsAnswers) {
  executor_.HoldCalls();
  auto promise = std::make_shared<std::promise<Outcome>>();
  {
    ExecutorClient other(channels_.Connect(port_.address()), TestToken(), "w");
    other.Classify(Pixels(), [promise](Outcome outcome) {
      promise->set_value(std::move(outcome));
    });
    executor_.AwaitHeld(1);
  }
  EXPECT_TRUE(IsUnreachable(promise->get_future().get().status()));
}

TEST_F(ExecutorWireTest, WithoutTheTokenNothingIsComputed) {
  ExecutorClient stranger(channels_.Connect(port_.address()), TestToken("x"),
                          "w");
  std::promise<Outcome> promise;
  stranger.Classify(Pixels(), [&](Outcome outcome) {
    promise.set_value(std::move(outcome));
  });
  EXPECT_EQ(ErrorReason(promise.get_future().get().status()),
            "WORKER_UNAUTHENTICATED");
  EXPECT_EQ(executor_.calls(), 0);
}

// With nothing else of gRPC in the process: the callback that still runs must
// not be the last to hold the connection.
TEST(ChannelsTest, AConnectionIsHeldUntilTheCallbackHasReturned) {
  testing::FakeExecutor executor;
  auto port = std::make_unique<WorkerPort>(&executor);
  absl::Notification answered;
  absl::Notification may_return;
  std::thread later;
  {
    Channels channels;
    {
      ExecutorClient client(channels.Connect(port->address()), TestToken(),
                            "w");
      client.VerifyEncoder({executor.Encoders().at(0).digest}, [&](auto) {
        answered.Notify();
        may_return.WaitForNotification();
      });
      answered.WaitForNotification();
    }
    EXPECT_TRUE(channels.Prune());
    port.reset();
    later = std::thread([&] {
      absl::SleepFor(absl::Milliseconds(20));
      may_return.Notify();
    });
  }
  EXPECT_TRUE(may_return.HasBeenNotified());
  later.join();
}

}  // namespace
}  // namespace promptd::wire
