#include "server/rpc.h"

#include <thread>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class RpcTest : public ServerFixture {
 protected:
  v1::ZeroShotClassifyRequest Request() const {
    v1::ZeroShotClassifyRequest request;
    request.add_labels("cat");
    request.add_images(Png(1));
    return request;
  }

  // The value of a metric's line, -1 when it is missing.
  double Metric(const std::string& series) {
    const std::string text = "\n" + Metrics();
    const size_t at = text.find("\n" + series + " ");
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(at + series.size() + 2));
  }

  double Requests(const std::string& service, const std::string& method,
                  const std::string& code) {
    return Metric("promptd_grpc_requests_total{code=\"" + code +
                  "\",method=\"" + method + "\",service=\"promptd.v1." +
                  service + "\"}");
  }
};

TEST_F(RpcTest, EchoesASaneRequestIdAndMakesOneOtherwise) {
  Context given;
  given.AddMetadata("x-request-id", "my-id.1");
  v1::GetServerInfoResponse reply;
  ASSERT_TRUE(info_->GetServerInfo(&given, {}, &reply).ok());
  EXPECT_EQ(given.GetServerInitialMetadata().find("x-request-id")->second,
            "my-id.1");

  Context insane;
  insane.AddMetadata("x-request-id", "a b;c");
  ASSERT_TRUE(info_->GetServerInfo(&insane, {}, &reply).ok());
  EXPECT_EQ(
      insane.GetServerInitialMetadata().find("x-request-id")->second.size(),
      36u);
}

TEST_F(RpcTest, ErrorCarriesTheRequestId) {
  Context context;
  context.AddMetadata("x-request-id", "abc");
  v1::Task task;
  v1::GetTaskRequest request;
  request.set_name("none");
  const ErrorDetails error =
      Decode(prompts_->GetTask(&context, request, &task));
  EXPECT_EQ(error.code, grpc::NOT_FOUND);
  EXPECT_EQ(error.reason, "TASK_NOT_FOUND");
  EXPECT_EQ(error.request_id, "abc");
}

TEST_F(RpcTest, AnExceptionIsInternalWithoutDetails) {
  executor_.ThrowFromNowOn();
  Context context;
  v1::ClassifyResponse reply;
  const ErrorDetails error =
      Decode(classify_->ZeroShotClassify(&context, Request(), &reply));
  EXPECT_EQ(error.code, grpc::INTERNAL);
  EXPECT_EQ(error.reason, "EXCEPTION");
  EXPECT_FALSE(absl::StrContains(error.message, "/path"));
  EXPECT_EQ(Requests("ClassifyService", "ZeroShotClassify", "INTERNAL"), 1);
}

TEST_F(RpcTest, CountsEveryOutcomeByCode) {
  Context ok;
  v1::ClassifyResponse reply;
  ASSERT_TRUE(classify_->ZeroShotClassify(&ok, Request(), &reply).ok());
  Context bad;
  EXPECT_FALSE(classify_->ZeroShotClassify(&bad, {}, &reply).ok());
  EXPECT_EQ(Requests("ClassifyService", "ZeroShotClassify", "OK"), 1);
  EXPECT_EQ(Requests("ClassifyService", "ZeroShotClassify", "INVALID_ARGUMENT"),
            1);
  // Every code of every method is there before it happens.
  EXPECT_EQ(Requests("TrainingService", "WatchTrainingJob", "ABORTED"), 0);
  EXPECT_EQ(Metric("promptd_grpc_request_duration_seconds_count{method="
                   "\"ZeroShotClassify\",outcome=\"client_error\"}"),
            1);
  EXPECT_EQ(Metric("promptd_grpc_in_flight{method=\"ZeroShotClassify\"}"), 0);
}

TEST_F(RpcTest, ClientsCancellationReachesTheWorker) {
  executor_.HoldCalls();
  Context context;
  v1::ClassifyResponse reply;
  grpc::Status status;
  std::thread caller([&] {
    status = classify_->ZeroShotClassify(&context, Request(), &reply);
  });
  executor_.AwaitHeld(1);
  EXPECT_EQ(Metric("promptd_grpc_in_flight{method=\"ZeroShotClassify\"}"), 1);
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::CANCELLED);
  while (!executor_.AnyHeldCancelled()) std::this_thread::yield();
  executor_.ReleaseHeld();
  while (Requests("ClassifyService", "ZeroShotClassify", "CANCELLED") != 1) {
    std::this_thread::yield();
  }
}

TEST_F(RpcTest, DeadlineIsHandedToTheWorkerAndClamped) {
  grpc::ClientContext none;
  v1::ClassifyResponse reply;
  ASSERT_TRUE(classify_->ZeroShotClassify(&none, Request(), &reply).ok());
  const absl::Duration missing = executor_.last_call().deadline - absl::Now();
  EXPECT_GT(missing, absl::Seconds(15));
  EXPECT_LE(missing, absl::Seconds(30));

  grpc::ClientContext far;
  far.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(1));
  ASSERT_TRUE(classify_->ZeroShotClassify(&far, Request(), &reply).ok());
  EXPECT_LE(executor_.last_call().deadline - absl::Now(), absl::Seconds(60));
}

TEST_F(RpcTest, ExpiredDeadlineIsCountedAsSuch) {
  executor_.HoldCalls();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(300));
  v1::ClassifyResponse reply;
  EXPECT_EQ(
      classify_->ZeroShotClassify(&context, Request(), &reply).error_code(),
      grpc::DEADLINE_EXCEEDED);
  while (!executor_.AnyHeldCancelled()) std::this_thread::yield();
  executor_.ReleaseHeld();
  while (Requests("ClassifyService", "ZeroShotClassify", "DEADLINE_EXCEEDED") +
             Requests("ClassifyService", "ZeroShotClassify", "CANCELLED") !=
         1) {
    std::this_thread::yield();
  }
}

TEST(WorkPoolTest, RefusesWhenFullAndRunsTheRest) {
  absl::Notification release;
  absl::Notification started;
  std::atomic<int> ran = 0;
  {
    WorkPool pool(1, 2);
    ASSERT_TRUE(pool.TrySubmit([&] {
      started.Notify();
      release.WaitForNotification();
    }));
    started.WaitForNotification();
    EXPECT_TRUE(pool.TrySubmit([&] { ++ran; }));
    EXPECT_TRUE(pool.TrySubmit([&] { ++ran; }));
    EXPECT_FALSE(pool.TrySubmit([&] { ++ran; }));
    release.Notify();
  }
  EXPECT_EQ(ran, 2);
}

TEST(WorkPoolTest, EachThreadBeginsWithStart) {
  std::atomic<int> started = 0;
  static thread_local bool here = false;
  std::atomic<int> ran = 0;
  {
    WorkPool pool(3, 100, [&] {
      here = true;
      ++started;
    });
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(pool.TrySubmit([&] { ran += here ? 1 : 0; }));
    }
  }
  EXPECT_EQ(started, 3);
  EXPECT_EQ(ran, 100);
}

TEST_F(RpcTest, FullPoolAnswersResourceExhaustedWithRetry) {
  ServerOptions options = DefaultOptions();
  options.pool_threads = 1;
  options.pool_queue = 0;
  StartServer(options);
  Context context;
  v1::GetServerInfoResponse reply;
  const ErrorDetails error = Decode(info_->GetServerInfo(&context, {}, &reply));
  EXPECT_EQ(error.code, grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.reason, "SERVER_BUSY");
  EXPECT_TRUE(error.retry);
}

TEST_F(RpcTest, ATenantHasItsOwnThings) {
  PushPets();
  const auto list = [this](const std::vector<std::string>& tenants,
                           v1::ListDatasetsResponse* reply) {
    Context context;
    for (const std::string& tenant : tenants) {
      context.AddMetadata("x-promptd-tenant", tenant);
    }
    return datasets_->ListDatasets(&context, {}, reply);
  };
  for (const auto& [tenants, datasets] :
       {std::pair<std::vector<std::string>, int>{{}, 1},
        {{"default"}, 1},
        {{"other-1"}, 0}}) {
    v1::ListDatasetsResponse reply;
    EXPECT_TRUE(list(tenants, &reply).ok());
    EXPECT_EQ(reply.datasets_size(), datasets);
  }
  for (const std::vector<std::string>& bad :
       {std::vector<std::string>{"Other"}, {"a b"}, {""}, {"a", "b"}}) {
    v1::ListDatasetsResponse reply;
    const ErrorDetails error = Decode(list(bad, &reply));
    EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT) << bad[0];
    EXPECT_EQ(error.reason, "INVALID_TENANT");
  }
}

}  // namespace
}  // namespace promptd::server
