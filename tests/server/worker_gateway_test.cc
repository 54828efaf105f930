// A front end and a worker elsewhere: real store, real ports, no computing.
#include "server/worker_gateway.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "tests/server/server_fixture.h"
#include "tests/wire/wire_rig.h"

namespace promptd::server {
namespace {

class WorkerGatewayTest : public ServerFixture {
 protected:
  WorkerGatewayTest() {
    server_.reset();
    Start(nullptr);
  }
  ~WorkerGatewayTest() override {
    worker_.reset();
    server_.reset();
  }

  ServerOptions Options(int port) const {
    ServerOptions options = DefaultOptions();
    options.lease = absl::Seconds(3);
    options.workers = WorkerGatewayOptions{
        {"127.0.0.1", port}, wire::TestToken(), std::nullopt};
    return options;
  }
  void Start(worker::Executor* local, int port = 0) {
    server_.reset();
    auto server = Server::Create(Options(port), Clock::Real());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    const absl::Status started = server_->Start(local);
    ASSERT_TRUE(started.ok()) << started;
    Connect();
  }
  void Attach(const std::string& id = "w1") {
    worker_ = std::make_unique<wire::FakeWorker>(
        id, FormatAddress(*server_->worker_address()));
    ASSERT_TRUE(wire::Eventually([&] { return ReadyWorkers() > 0; }));
  }
  int ReadyWorkers() {
    const v1::GetServerInfoResponse info = Info();
    return static_cast<int>(std::count_if(
        info.workers().begin(), info.workers().end(),
        [](const v1::WorkerInfo& worker) { return worker.ready(); }));
  }
  v1::GetServerInfoResponse Info() {
    Context context;
    v1::GetServerInfoResponse info;
    EXPECT_TRUE(info_->GetServerInfo(&context, {}, &info).ok());
    return info;
  }
  v1::TrainingJob Job(int64_t id) {
    Context context;
    v1::GetTrainingJobRequest request;
    request.set_id(id);
    v1::TrainingJob job;
    EXPECT_TRUE(training_->GetTrainingJob(&context, request, &job).ok());
    return job;
  }
  worker::LeasedJob LeaseElsewhere() {
    absl::StatusOr<std::optional<worker::LeasedJob>> job;
    EXPECT_TRUE(wire::Eventually([&] {
      job = worker_->control().Lease("w1", {}, absl::ZeroDuration());
      return job.ok() && job->has_value();
    }));
    return **job;
  }

  std::unique_ptr<wire::FakeWorker> worker_;
};

TEST_F(WorkerGatewayTest, AWorkerElsewhereServesAndTrains) {
  Attach();
  const auto info = Info();
  ASSERT_EQ(info.workers_size(), 1);
  EXPECT_EQ(info.workers(0).id(), "w1");
  EXPECT_EQ(info.workers(0).address(), worker_->port().address());
  EXPECT_EQ(info.workers(0).encoder_digests_size(), 2);
  EXPECT_EQ(info.default_encoder(), "small");
  EXPECT_TRUE(
      absl::StrContains(Metrics(), "promptd_worker_up{worker=\"w1\"} 1"));
  EXPECT_TRUE(
      absl::StrContains(Metrics(), "promptd_workers{state=\"ready\"} 1"));
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  const worker::LeasedJob job = LeaseElsewhere();
  EXPECT_EQ(job.id, id);
  EXPECT_EQ(job.lease, absl::Seconds(3));
  const auto version =
      worker_->control().Publish(job.id, job.fence, Finished(job));
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(*version, 1);
  EXPECT_EQ(Job(id).state(), v1::JOB_STATE_SUCCEEDED);

  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_images(Png(1));
  v1::ClassifyResponse reply;
  Context context;
  const grpc::Status classified =
      classify_->Classify(&context, request, &reply);
  ASSERT_TRUE(classified.ok()) << classified.error_message();
  EXPECT_EQ(worker_->executor().calls(), 1);
}

TEST_F(WorkerGatewayTest, ALostWorkersJobIsQueuedAtOnceAndItsWritesRefused) {
  Attach();
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  const worker::LeasedJob job = LeaseElsewhere();
  EXPECT_TRUE(
      absl::StrContains(Metrics(), "promptd_worker_up{worker=\"w1\"} 1"));
  const absl::Time start = absl::Now();
  worker_->attachment().Stop();
  ASSERT_TRUE(wire::Eventually(
      [&] { return Job(id).state() == v1::JOB_STATE_QUEUED; }));
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  EXPECT_TRUE(
      absl::StrContains(Job(id).waiting_for(), "no worker holds its encoder"));
  EXPECT_TRUE(
      absl::StrContains(Metrics(), "promptd_worker_up{worker=\"w1\"} 0"));
  const auto late = worker_->control().Publish(job.id, job.fence, {});
  EXPECT_EQ(ErrorReason(late.status()), "LEASE_LOST");
  EXPECT_EQ(Info().workers_size(), 0);

  Attach("w2");
  EXPECT_EQ(Job(id).waiting_for(), "");
  const worker::LeasedJob again = LeaseElsewhere();
  EXPECT_EQ(again.id, id);
  EXPECT_EQ(again.fence, job.fence + 1);
  EXPECT_EQ(*worker_->control().Publish(id, again.fence, Finished(again)), 1);
}

TEST_F(WorkerGatewayTest, ARestartedFrontEndLeavesTheJobWithItsWorker) {
  Attach();
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  const worker::LeasedJob job = LeaseElsewhere();
  const int port = server_->worker_address()->port;
  Start(nullptr, port);
  EXPECT_EQ(Job(id).state(), v1::JOB_STATE_RUNNING);
  ASSERT_TRUE(wire::Eventually([&] { return ReadyWorkers() == 1; }));
  EXPECT_TRUE(worker_->control().Heartbeat(job.id, job.fence).ok());
  EXPECT_EQ(*worker_->control().Publish(job.id, job.fence, Finished(job)), 1);
}

TEST_F(WorkerGatewayTest, ANewJobWakesTheWorker) {
  Attach();
  PushPets();
  auto& control = worker_->control();
  EXPECT_FALSE(control.Lease("w1", {}, absl::ZeroDuration())->has_value());
  const absl::Time start = absl::Now();
  std::thread submitter([this] {
    absl::SleepFor(absl::Milliseconds(50));
    CreateJob(PetsJob());
  });
  std::optional<worker::LeasedJob> job;
  while (!job && absl::Now() - start < absl::Seconds(20)) {
    job = *control.Lease("w1", {}, absl::Seconds(20));
  }
  submitter.join();
  EXPECT_TRUE(job.has_value());
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(WorkerGatewayTest, AnEncodersNameStandsForOneEncoder) {
  testing::FakeExecutor local;
  Start(&local);
  EXPECT_EQ(Info().workers_size(), 1);
  EXPECT_EQ(Info().workers(0).id(), "local");
  wire::WorkerHello hello = {"w1", "127.0.0.1:1", "v", local.Encoders()};
  hello.encoders[0].digest = std::string(64, 'c');
  const auto channel = wire::Connect(FormatAddress(*server_->worker_address()));
  wire::ControlClient control({}, channel, wire::TestToken(), nullptr);
  wire::Attachment attachment(
      {}, channel, wire::TestToken(), hello, &control, [] { return true; },
      [](const absl::Status&) {});
  EXPECT_FALSE(
      attachment.WaitUntilAttached(absl::Now() + absl::Milliseconds(300)));
  EXPECT_EQ(Info().workers_size(), 1);
  attachment.Stop();
  server_.reset();
}

TEST_F(WorkerGatewayTest, TheWorkersPortTellsStrangersNothing) {
  const auto channel =
      grpc::CreateChannel(FormatAddress(*server_->worker_address()),
                          grpc::InsecureChannelCredentials());
  for (const char* method :
       {"/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/promptd.worker.v1.ControlService/Lease",
        "/promptd.v1.ServerService/GetServerInfo", "/no.such/Method"}) {
    grpc::GenericStub stub(channel);
    grpc::CompletionQueue queue;
    Context context;
    grpc::ByteBuffer request;
    grpc::ByteBuffer reply;
    grpc::Status status;
    const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
    call->StartCall();
    call->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    EXPECT_TRUE(status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
                status.error_code() == grpc::StatusCode::CANCELLED)
        << method << " " << status.error_code();
    EXPECT_EQ(reply.Length(), 0u) << method;
  }
}

}  // namespace
}  // namespace promptd::server
