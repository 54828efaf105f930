#include "bench/load/run_load.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <functional>

#include "absl/synchronization/notification.h"
#include "bench/load/report.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "tests/bench/load_files.h"
#include "tests/bench/local_server.h"

namespace promptd::load {
namespace {

// Answers a call by the function given.
class Service : public v1::ClassifyService::Service {
 public:
  using Answer =
      std::function<grpc::Status(grpc::ServerContext*, v1::ClassifyResponse*)>;

  explicit Service(Answer answer) : answer_(std::move(answer)) {}

  grpc::Status Classify(grpc::ServerContext* context,
                        const v1::ClassifyRequest* request,
                        v1::ClassifyResponse* response) override {
    for (int i = 0; i < request->images_size(); ++i) response->add_results();
    return answer_(context, response);
  }

 private:
  const Answer answer_;
};

class RunLoadTest : public testing::Test {
 protected:
  RunLoadTest() {
    options_.request.name = "pets";
    options_.pace.length = absl::Milliseconds(200);
  }

  LoadResult Run(Service::Answer answer) {
    Service service(std::move(answer));
    const LocalServer server(&service);
    RequestMaker requests(options_.request, {},
                          *ImageSource::OfFiles(TwoJpegs(false), 1), 1);
    LoadResult result =
        RunLoad(options_.pace, 1, {server.Connect()}, &requests);
    load_ended_.Notify();
    return result;
  }

  Options options_;
  absl::Notification load_ended_;
};

grpc::Status Ok(grpc::ServerContext*, v1::ClassifyResponse*) {
  return grpc::Status::OK;
}

TEST_F(RunLoadTest, AClosedLoopCountsAnswersAndTheirImages) {
  options_.pace.concurrency = 4;
  options_.request.images_per_request = 2;
  const LoadResult result = Run(Ok);
  EXPECT_GT(result.ok, 4);
  EXPECT_EQ(result.requests, result.ok);
  EXPECT_EQ(result.latency.count(), result.ok);
  // Behind the first answer, until the first behind the measured time.
  EXPECT_LT(result.images, 2 * result.ok);
  EXPECT_GE(result.images, 2 * (result.ok - 4));
  EXPECT_EQ(result.image_errors, 0);
  EXPECT_EQ(result.first_error, "");
}

TEST_F(RunLoadTest, AClosedLoopKeepsItsConcurrency) {
  options_.pace.concurrency = 3;
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  Run([&](grpc::ServerContext*, v1::ClassifyResponse*) {
    const int now = ++inside;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    --inside;
    return grpc::Status::OK;
  });
  EXPECT_LE(most, 3);
}

TEST_F(RunLoadTest, AnOpenLoopSendsWhatIsDue) {
  options_.pace.rate = 100;
  options_.pace.pattern = ArrivalPattern::kFixed;
  const LoadResult result = Run(Ok);
  EXPECT_EQ(result.requests, 20);
  EXPECT_EQ(result.ok, 20);
  EXPECT_EQ(result.not_sent, 0);
  EXPECT_EQ(result.send_lag.count(), 20);
}

TEST_F(RunLoadTest, AnOpenLoopWaitsForNoAnswerAndCountsFromWhenItWasDue) {
  options_.pace.rate = 100;
  options_.pace.pattern = ArrivalPattern::kFixed;
  std::atomic<int> received = 0;
  absl::Notification all_are_there;
  const LoadResult result =
      Run([&](grpc::ServerContext*, v1::ClassifyResponse*) {
        if (++received == 20) all_are_there.Notify();
        all_are_there.WaitForNotification();
        return grpc::Status::OK;
      });
  EXPECT_EQ(result.ok, 20);
  // The first was due so long before the last.
  EXPECT_GE(result.latency.max(), absl::Milliseconds(190));
}

TEST_F(RunLoadTest, WarmUpIsNotCounted) {
  options_.pace.rate = 100;
  options_.pace.pattern = ArrivalPattern::kFixed;
  options_.pace.warmup = absl::Milliseconds(100);
  std::atomic<int> received = 0;
  const LoadResult result =
      Run([&](grpc::ServerContext*, v1::ClassifyResponse*) {
        ++received;
        return grpc::Status::OK;
      });
  EXPECT_EQ(received, 30);
  EXPECT_EQ(result.requests, 20);
  EXPECT_EQ(result.images_in_all, 30);
}

TEST_F(RunLoadTest, WhatIsDueBehindASilentServerIsCountedAsNotSent) {
  options_.pace.rate = 100;
  options_.pace.pattern = ArrivalPattern::kFixed;
  options_.pace.max_outstanding = 2;
  options_.pace.deadline = absl::Seconds(1);
  const LoadResult result =
      Run([this](grpc::ServerContext*, v1::ClassifyResponse*) {
        load_ended_.WaitForNotification();
        return grpc::Status::CANCELLED;
      });
  EXPECT_EQ(result.requests, 20);
  EXPECT_EQ(result.not_sent, 18);
  EXPECT_EQ(result.by_code.at("DEADLINE_EXCEEDED"), 2);
  EXPECT_EQ(result.ok, 0);
  EXPECT_EQ(result.rejection.count(), 0);
}

TEST_F(RunLoadTest, RefusalsHaveTheirOwnLatency) {
  const LoadResult result =
      Run([](grpc::ServerContext*, v1::ClassifyResponse*) {
        return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
      });
  EXPECT_GT(result.requests, 0);
  EXPECT_EQ(result.by_code.at("RESOURCE_EXHAUSTED"), result.requests);
  EXPECT_EQ(result.rejection.count(), result.requests);
  EXPECT_EQ(result.rejection_since_sent.count(), result.requests);
  EXPECT_LE(result.rejection_since_sent.max(), result.rejection.max());
  EXPECT_EQ(result.latency.count(), 0);
  EXPECT_EQ(result.images, 0);
  EXPECT_EQ(result.first_error, "RESOURCE_EXHAUSTED: full");
}

TEST_F(RunLoadTest, ImagesWithAnErrorAreNotCountedAsAnswered) {
  options_.request.images_per_request = 2;
  const LoadResult result =
      Run([](grpc::ServerContext*, v1::ClassifyResponse* response) {
        response->mutable_results(0)->set_error_reason("IMAGE_TRUNCATED");
        return grpc::Status::OK;
      });
  EXPECT_GT(result.ok, 0);
  EXPECT_EQ(result.image_errors, result.ok);
  EXPECT_LE(result.images, result.ok);
}

TEST_F(RunLoadTest, TheReportIsJsonAndALine) {
  LoadResult result;
  result.requests = 12;
  result.ok = 10;
  result.images = 20;
  result.images_time = absl::Milliseconds(200);
  result.not_sent = 1;
  result.late = 2;
  result.by_code = {{"OK", 10}, {"UNAVAILABLE", 1}};
  result.first_error = "UNAVAILABLE: gone";
  result.latency.Add(absl::Milliseconds(8));
  const auto json = nlohmann::json::parse(JsonReport(options_, result));
  EXPECT_EQ(json["concurrency"], 1);
  EXPECT_EQ(json["images_per_second"], 100);
  EXPECT_EQ(json["latency_ms"]["p99"], 8);
  EXPECT_EQ(json["by_code"]["UNAVAILABLE"], 1);
  EXPECT_EQ(json["late"], 2);
  EXPECT_EQ(
      ReadableReport(options_, result),
      "100.0 images/s; 12 requests, 10 ok; latency p50 8.0 ms, p90 8.0, p99 "
      "8.0, max 8.0; 1 not sent; 2 late; 1 UNAVAILABLE; first error: "
      "UNAVAILABLE: gone");
}

}  // namespace
}  // namespace promptd::load
