#include "server/server.h"

#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/error.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "server/grpc_listener.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

// One message there and one back, by method name: health and reflection have
// no generated client here.
grpc::Status GenericCall(const std::shared_ptr<grpc::Channel>& channel,
                         const std::string& method, const std::string& request,
                         std::string* reply) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  Context context;
  const grpc::Slice slice(request);
  const grpc::ByteBuffer out(&slice, 1);
  auto call = stub.PrepareCall(&context, method, &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  call->WriteLast(out, {}, nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer in;
  call->Read(&in, nullptr);
  queue.Next(&tag, &ok);
  if (ok) {
    std::vector<grpc::Slice> slices;
    in.Dump(&slices);
    for (const grpc::Slice& part : slices) {
      reply->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  return status;
}

// 1: SERVING, 2: NOT_SERVING; 0 when the service is unknown.
int Health(const std::shared_ptr<grpc::Channel>& channel,
           const std::string& service) {
  std::string request;
  if (!service.empty()) {
    request = "\x0a";
    request += static_cast<char>(service.size());
    request += service;
  }
  std::string reply;
  const grpc::Status status =
      GenericCall(channel, "/grpc.health.v1.Health/Check", request, &reply);
  return status.ok() && reply.size() == 2 ? reply[1] : 0;
}

using ServerTest = ServerFixture;

TEST_F(ServerTest, InfoShowsLimitsWorkerAndJobs) {
  PushPets();
  CreateJob(PetsJob());
  Context context;
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(info_->GetServerInfo(&context, {}, &info).ok());
  EXPECT_FALSE(info.version().empty());
  EXPECT_EQ(info.default_encoder(), "small");
  EXPECT_EQ(info.limits().max_message_bytes(), 16 << 20);
  EXPECT_EQ(info.limits().max_text_tokens(), 77);
  ASSERT_EQ(info.workers_size(), 1);
  EXPECT_TRUE(info.workers(0).ready());
  EXPECT_EQ(info.jobs().at("queued"), 1);
  EXPECT_EQ(info.jobs().at("cancelled"), 0);
}

TEST_F(ServerTest, EncodersAreListedAndUnknownNamesAnsweredWithTheKnown) {
  Context context;
  v1::ListEncodersResponse list;
  ASSERT_TRUE(encoders_->ListEncoders(&context, {}, &list).ok());
  ASSERT_EQ(list.encoders_size(), 2);
  EXPECT_EQ(list.encoders(0).name(), "large");
  EXPECT_TRUE(list.encoders(1).demonstration());
  v1::GetEncoderRequest request;
  v1::Encoder encoder;
  request.set_name("small");
  Context found;
  ASSERT_TRUE(encoders_->GetEncoder(&found, request, &encoder).ok());
  EXPECT_EQ(encoder.logit_scale(), 20);
  request.set_name("huge");
  Context missing;
  const ErrorDetails error =
      Decode(encoders_->GetEncoder(&missing, request, &encoder));
  EXPECT_EQ(error.reason, "ENCODER_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(error.message, "\"large\", \"small\""));
}

TEST_F(ServerTest, VerifyingAnEncoderTellsEveryFigure) {
  v1::VerifyEncoderRequest request;
  v1::VerifyEncoderResponse reply;
  request.set_name("large");
  Context good;
  ASSERT_TRUE(encoders_->VerifyEncoder(&good, request, &reply).ok());
  EXPECT_TRUE(reply.passed());
  EXPECT_TRUE(reply.files_unchanged());
  EXPECT_EQ(reply.encoder().name(), "large");
  EXPECT_EQ(reply.digest_on_disk(), reply.encoder().digest());
  EXPECT_EQ(reply.origin(), "open_clip 3.3.0, float32");

  // A failure is a reply; without a name it is the default encoder's.
  Context bad;
  ASSERT_TRUE(encoders_->VerifyEncoder(&bad, {}, &reply).ok());
  EXPECT_FALSE(reply.passed());
  EXPECT_FALSE(reply.files_unchanged());
  EXPECT_EQ(reply.encoder().name(), "small");
  EXPECT_EQ(reply.digest_on_disk(), "");
  ASSERT_EQ(reply.checks_size(), 2);
  EXPECT_TRUE(reply.checks(0).passed());
  const v1::SelfTestCheck& check = reply.checks(1);
  EXPECT_EQ(check.subject(), "text features");
  EXPECT_EQ(check.vectors(), 4);
  EXPECT_EQ(check.deviation(), 0.5f);
  EXPECT_EQ(check.allowed_deviation(), 1e-4f);
  EXPECT_EQ(check.cosine(), 0.25f);
  EXPECT_EQ(check.required_cosine(), 0.9999f);
  EXPECT_FALSE(check.passed());

  request.set_name("huge");
  Context missing;
  EXPECT_EQ(Decode(encoders_->VerifyEncoder(&missing, request, &reply)).reason,
            "ENCODER_NOT_FOUND");
}

TEST_F(ServerTest, HealthIsServingForEveryService) {
  EXPECT_EQ(Health(channel_, ""), 1);
  for (const char* name :
       {"Server", "Encoder", "Dataset", "Training", "Prompt", "Classify"}) {
    EXPECT_EQ(Health(channel_, std::string("promptd.v1.") + name + "Service"),
              1)
        << name;
  }
  EXPECT_EQ(Health(channel_, "no.such.Service"), 0);
}

constexpr char kReflection[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kListServices[] = {0x3a, 0x00};

TEST_F(ServerTest, ReflectionListsTheServicesOnLoopback) {
  std::string reply;
  const grpc::Status status =
      GenericCall(channel_, kReflection, std::string(kListServices, 2), &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(absl::StrContains(reply, "promptd.v1.TrainingService"));
  EXPECT_TRUE(absl::StrContains(reply, "promptd.v1.ClassifyService"));
}

TEST(GrpcListenerTest, ReflectionIsClosedBeyondLoopback) {
  auto listener = GrpcListener::Start({"0.0.0.0", 0}, Limits(), {});
  ASSERT_TRUE(listener.ok()) << listener.status();
  const auto channel =
      grpc::CreateChannel(FormatAddress({"127.0.0.1", (*listener)->port()}),
                          grpc::InsecureChannelCredentials());
  std::string reply;
  EXPECT_FALSE(
      GenericCall(channel, kReflection, std::string(kListServices, 2), &reply)
          .ok());
  EXPECT_EQ(reply, "");
  EXPECT_EQ(Health(channel, ""), 2);
  (*listener)->Shutdown(absl::Now());
}

TEST_F(ServerTest, TwoServersDoNotShareAPort) {
  ServerOptions options = DefaultOptions();
  options.data_dir = dir_.path() + "/other";
  options.listen = server_->listen_address();
  auto other = Server::Create(options, Clock::Real());
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(ErrorReason((*other)->Start(&executor_)), "CANNOT_LISTEN");
}

TEST_F(ServerTest, TwoServersDoNotShareADataDirectory) {
  const auto other = Server::Create(DefaultOptions(), Clock::Real());
  EXPECT_EQ(ErrorReason(other.status()), "DATA_DIR_IN_USE");
}

TEST_F(ServerTest, UnknownDefaultEncoderStopsTheStart) {
  ServerOptions options = DefaultOptions();
  options.data_dir = dir_.path() + "/other";
  options.default_encoder = "huge";
  auto other = Server::Create(options, Clock::Real());
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(ErrorReason((*other)->Start(&executor_)), "ENCODER_NOT_FOUND");
}

TEST_F(ServerTest, DrainLetsARunningCallFinish) {
  executor_.HoldCalls();
  v1::ZeroShotClassifyRequest request;
  request.add_labels("cat");
  request.add_images(Png(1));
  grpc::Status status;
  v1::ClassifyResponse reply;
  std::thread caller([&] {
    Context context;
    status = classify_->ZeroShotClassify(&context, request, &reply);
  });
  executor_.AwaitHeld(1);
  std::thread stopper(
      [&] { server_->Shutdown(absl::Now() + absl::Seconds(30)); });
  // Draining shows in health; then the call may end.
  while (absl::StrContains(
      HttpExchange(server_->http_address()->port,
                   "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
      "200 OK")) {
    std::this_thread::yield();
  }
  executor_.ReleaseHeld();
  caller.join();
  stopper.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.results_size(), 1);
  Context late;
  v1::GetServerInfoResponse info;
  EXPECT_EQ(info_->GetServerInfo(&late, {}, &info).error_code(),
            grpc::UNAVAILABLE);
}

TEST_F(ServerTest, JobsDatasetsAndVersionsSurviveARestart) {
  PushPets();
  TrainOnce();
  const int64_t waiting = CreateJob(PetsJob()).id();
  const worker::LeasedJob leased = Lease();
  EXPECT_EQ(leased.id, waiting);
  const std::string checkpoint =
      *server_->control()->PutBlob("checkpoint bytes");
  ASSERT_TRUE(server_->control()
                  ->SaveCheckpoint(leased.id, leased.fence, {checkpoint})
                  .ok());
  Restart();  // as after a kill: the job was running
  const worker::LeasedJob again = Lease();
  EXPECT_EQ(again.id, waiting);
  EXPECT_GT(again.fence, leased.fence);
  EXPECT_EQ(again.checkpoint_digest, checkpoint);
  EXPECT_EQ(again.spec, leased.spec);
  // The worker from before the restart can no longer publish.
  EXPECT_EQ(ErrorReason(server_->control()
                            ->Publish(leased.id, leased.fence, Finished(leased))
                            .status()),
            "LEASE_LOST");
  EXPECT_EQ(Publish(again), 2);
  const auto manifest =
      server_->control()->GetManifest(again.spec.dataset_digest);
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest->items.size(), 10u);
}

TEST_F(ServerTest, HttpServesTwoPagesOnly) {
  const int port = server_->http_address()->port;
  const auto get = [port](const std::string& line) {
    const std::string reply = HttpExchange(
        port, line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return reply.substr(0, reply.find("\r\n"));
  };
  EXPECT_EQ(get("GET /healthz"), "HTTP/1.1 200 OK");
  EXPECT_EQ(get("GET /metrics"), "HTTP/1.1 200 OK");
  EXPECT_EQ(get("GET /"), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(get("GET /metrics/x"), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(get("GET /../../etc/passwd"), "HTTP/1.1 404 Not Found");
  EXPECT_EQ(get("POST /metrics"), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_EQ(get("DELETE /healthz"), "HTTP/1.1 405 Method Not Allowed");
  executor_.SetReady(false);
  EXPECT_EQ(get("GET /healthz"), "HTTP/1.1 503 Service Unavailable");
}

}  // namespace
}  // namespace promptd::server
