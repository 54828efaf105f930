#include "wire/worker_registry.h"

#include "common/error.h"
#include "gtest/gtest.h"
#include "tests/wire/wire_rig.h"

namespace promptd::wire {
namespace {

class FakeLink : public WorkerLink {
 public:
  void HintWork() override { ++hints; }
  void Close(const absl::Status&) override { ++closed; }
  std::atomic<int> hints = 0;
  std::atomic<int> closed = 0;
};

class WorkerRegistryTest : public ::testing::Test {
 protected:
  static WorkerHello Hello(const std::string& id = "w1") {
    return {id, "127.0.0.1:1", "v", testing::FakeExecutor().Encoders()};
  }
  absl::StatusOr<std::string> Attach(const WorkerHello& hello) {
    return registry_.Attach(hello, link_);
  }
  static std::string Digest() { return std::string(64, 'a'); }

  std::shared_ptr<FakeLink> link_ = std::make_shared<FakeLink>();
  FakeEvents events_;
  WorkerRegistry registry_{{.suspect_after = absl::Milliseconds(300),
                            .close_after = absl::Milliseconds(900)},
                           TestToken(),
                           &events_};
};

TEST_F(WorkerRegistryTest, AWorkerServesOnceItSaysSo) {
  const auto session = Attach(Hello());
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_FALSE(registry_.AnyReady());
  EXPECT_TRUE(registry_.Targets(Digest()).empty());
  EXPECT_TRUE(registry_.Holds(Digest()));
  registry_.Beat(*session, true);
  EXPECT_TRUE(registry_.AnyReady());
  ASSERT_EQ(registry_.Targets(Digest()).size(), 1u);
  EXPECT_TRUE(registry_.Targets(std::string(64, 'f')).empty());
  EXPECT_EQ(registry_.Find(*session)->id, "w1");
  ASSERT_EQ(registry_.Workers().size(), 1u);
  EXPECT_TRUE(registry_.Workers()[0].ready);
}

TEST_F(WorkerRegistryTest, ASilentWorkerIsSuspectedAndThenLetGo) {
  const auto session = Attach(Hello());
  registry_.Beat(*session, true);
  ASSERT_TRUE(registry_.AddLease(*session, {7, 3}));
  ASSERT_TRUE(Eventually([&] { return !registry_.AnyReady(); }));
  EXPECT_TRUE(events_.lost().empty());
  EXPECT_EQ(registry_.Workers().size(), 1u);
  ASSERT_TRUE(Eventually([&] { return !events_.lost().empty(); }));
  EXPECT_EQ(events_.lost()[0], (LeaseName{7, 3}));
  EXPECT_EQ(link_->closed, 1);
  EXPECT_EQ(ErrorReason(registry_.Find(*session).status()), "NOT_ATTACHED");
  EXPECT_FALSE(registry_.AddLease(*session, {8, 1}));
}

TEST_F(WorkerRegistryTest, LeasesThatEndedAreNotLost) {
  const auto session = Attach(Hello());
  registry_.AddLease(*session, {7, 3});
  registry_.AddLease(*session, {8, 1});
  registry_.RemoveLease(*session, {7, 3});
  registry_.Detach(*session);
  registry_.Detach(*session);
  EXPECT_EQ(events_.lost(), (std::vector<LeaseName>{{8, 1}}));
  EXPECT_EQ(events_.detached().size(), 1u);
}

TEST_F(WorkerRegistryTest, AnIdBelongsToWhoBeats) {
  const auto session = Attach(Hello());
  EXPECT_EQ(ErrorReason(Attach(Hello()).status()), "WORKER_ID_TAKEN");
  registry_.Detach(*session);
  EXPECT_TRUE(Attach(Hello()).ok());
}

TEST_F(WorkerRegistryTest, BadHellosAreRefused) {
  for (const char* id : {"", "local", "Upper", "-dash", "sp ace"}) {
    EXPECT_EQ(ErrorReason(Attach(Hello(id)).status()), "BAD_WORKER") << id;
  }
  WorkerHello hello = Hello();
  hello.address = "127.0.0.1:0";
  EXPECT_EQ(ErrorReason(Attach(hello).status()), "BAD_WORKER");
  hello = Hello();
  hello.encoders.clear();
  EXPECT_EQ(ErrorReason(Attach(hello).status()), "BAD_WORKER");
  hello = Hello();
  hello.encoders[0].digest = "../x";
  EXPECT_EQ(ErrorReason(Attach(hello).status()), "BAD_WORKER");
  events_.Refuse(
      MakeError(absl::StatusCode::kAlreadyExists, "ENCODER_NAME_TAKEN", "no"));
  EXPECT_EQ(ErrorReason(Attach(Hello()).status()), "ENCODER_NAME_TAKEN");
  EXPECT_TRUE(registry_.Workers().empty());
}

TEST_F(WorkerRegistryTest, HintsGoToAll) {
  ASSERT_TRUE(Attach(Hello("w1")).ok());
  ASSERT_TRUE(Attach(Hello("w2")).ok());
  registry_.HintWork();
  EXPECT_EQ(link_->hints, 2);
}

}  // namespace
}  // namespace promptd::wire
