// worker::Control over a real connection: every call arrives, every answer and
// every error comes back.
#include <atomic>
#include <thread>

#include "common/error.h"
#include "common/sha256.h"
#include "gtest/gtest.h"
#include "promptd/worker/v1/control.grpc.pb.h"
#include "tests/testing/temp_dir.h"
#include "tests/wire/wire_rig.h"

namespace promptd::wire {
namespace {

using worker::FakeControl;

class ControlWireTest : public ::testing::Test {
 protected:
  ControlWireTest() : front_(&control_), worker_("w1", front_.address()) {
    EXPECT_TRUE(worker_.attachment().WaitUntilAttached(absl::Now() +
                                                       absl::Seconds(10)));
  }
  worker::LeasedJob Lease() {
    const auto job = worker_.control().Lease("w1", {}, absl::ZeroDuration());
    EXPECT_TRUE(job.ok() && job->has_value()) << job.status();
    return job.ok() && job->has_value() ? **job : worker::LeasedJob();
  }

  FakeControl control_;
  FrontEnd front_;
  FakeWorker worker_;
};

TEST_F(ControlWireTest, AJobGoesFromLeaseToPublication) {
  worker::TrainingSpec spec;
  spec.task = "pets";
  const int64_t id = control_.Enqueue(spec, "checkpoint");
  const worker::LeasedJob job = Lease();
  EXPECT_EQ(job.id, id);
  EXPECT_EQ(job.spec, spec);
  EXPECT_EQ(job.checkpoint_digest, "checkpoint");
  auto& control = worker_.control();
  EXPECT_EQ(*control.Heartbeat(job.id, job.fence),
            worker::Directive::kContinue);
  control_.SetDirective(worker::Directive::kPause);
  EXPECT_EQ(*control.Heartbeat(job.id, job.fence), worker::Directive::kPause);
  worker::Progress progress;
  progress.epoch = 3;
  EXPECT_TRUE(control.ReportProgress(job.id, job.fence, progress).ok());
  EXPECT_EQ(control_.progress().at(0).epoch, 3);
  control_.SetDirective(worker::Directive::kSaveAndCancel);
  EXPECT_EQ(*control.Heartbeat(job.id, job.fence),
            worker::Directive::kSaveAndCancel);
  EXPECT_TRUE(control.SaveCheckpoint(job.id, job.fence, {"c2", 7, 21}).ok());
  EXPECT_EQ(control_.last_saved().blob_digest, "c2");
  EXPECT_EQ(control_.last_saved().epoch, 7);
  EXPECT_EQ(control_.last_saved().step, 21);
  worker::FinishedPrompt prompt;
  prompt.class_names = {"cat"};
  EXPECT_EQ(*control.Publish(job.id, job.fence, prompt), 1);
  EXPECT_EQ(control_.published(id)->class_names, prompt.class_names);
  // What has ended is nothing to lose.
  worker_.attachment().Stop();
  ASSERT_TRUE(Eventually([&] { return !front_.events().detached().empty(); }));
  EXPECT_TRUE(front_.events().lost().empty());
}

TEST_F(ControlWireTest, EveryOtherEndOfAJobArrives) {
  auto& control = worker_.control();
  for (const std::string& end :
       {std::string("failed: BROKEN why"), std::string("cancelled"),
        std::string("paused"), std::string("released"),
        std::string("evaluated")}) {
    const int64_t id = end == "evaluated"
                           ? control_.Enqueue(worker::EvaluationSpec())
                           : control_.Enqueue(worker::TrainingSpec());
    const worker::LeasedJob job = Lease();
    absl::Status status;
    if (end == "cancelled") {
      status = control.ConfirmCancel(id, job.fence);
    } else if (end == "paused") {
      status = control.ConfirmPause(id, job.fence);
    } else if (end == "released") {
      status = control.Release(id, job.fence);
    } else if (end == "evaluated") {
      EXPECT_TRUE(job.evaluation.has_value());
      status = control.StoreEvaluation(id, job.fence, worker::Evaluation());
    } else {
      status =
          control.Fail(id, job.fence,
                       MakeError(absl::StatusCode::kInternal, "BROKEN", "why"));
    }
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(control_.WaitForEnd(id), end);
  }
}

TEST_F(ControlWireTest, AStaleFenceIsRefusedInEveryWrite) {
  control_.Enqueue(worker::TrainingSpec());
  const worker::LeasedJob job = Lease();
  control_.LoseLease();
  auto& control = worker_.control();
  const worker::FinishedPrompt prompt;
  for (const absl::Status& status :
       {control.Heartbeat(job.id, job.fence).status(),
        control.ReportProgress(job.id, job.fence, {}),
        control.SaveCheckpoint(job.id, job.fence, {"c"}),
        control.Publish(job.id, job.fence, prompt).status(),
        control.StoreEvaluation(job.id, job.fence, {}),
        control.Fail(job.id, job.fence, absl::InternalError("x")),
        control.ConfirmCancel(job.id, job.fence),
        control.ConfirmPause(job.id, job.fence),
        control.Release(job.id, job.fence)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_EQ(ErrorReason(status), "LEASE_LOST");
  }
  EXPECT_FALSE(control_.published(job.id).has_value());
}

TEST_F(ControlWireTest, BlobsOfAnySizeCrossInChunks) {
  auto& control = worker_.control();
  for (const size_t size :
       {size_t{0}, size_t{1}, kChunkBytes, 3 * kChunkBytes + 17}) {
    const std::string bytes(size, 'x');
    const auto digest = control.PutBlob(bytes);
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_EQ(*digest, Sha256Hex(bytes));
    const auto back = control.GetBlob(*digest);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back == bytes, true) << size;
  }
  EXPECT_EQ(ErrorReason(control.GetBlob(Sha256Hex("none")).status()),
            "BLOB_NOT_FOUND");
}

// A front end whose blobs are not what their names say.
class LyingControl : public FakeControl {
 public:
  absl::StatusOr<std::string> GetBlob(const std::string&) override {
    ++asked;
    return std::string("something else");
  }
  std::atomic<int> asked = 0;
};

TEST(ControlWireBlobTest, WhatArrivesIsVerifiedAndThenKept) {
  LyingControl lying;
  FrontEnd front(&lying);
  testing::TempDir dir;
  const auto cache = *BlobCache::Open(dir.path(), 1 << 20);
  ControlClient control({}, Connect(front.address()), TestToken(), cache.get());
  EXPECT_EQ(ErrorReason(control.GetBlob(Sha256Hex("right")).status()),
            "BLOB_CORRUPT");
  const std::string digest = Sha256Hex("something else");
  EXPECT_EQ(*control.GetBlob(digest), "something else");
  const int asked = lying.asked;
  EXPECT_EQ(*control.GetBlob(digest), "something else");
  EXPECT_EQ(lying.asked, asked);
}

TEST_F(ControlWireTest, ManifestsAreVerified) {
  datasets::Manifest manifest;
  manifest.name = "pets";
  manifest.class_names = {"cat"};
  for (int i = 0; i < 20'000; ++i) {
    manifest.items.push_back(
        {"cat/" + std::to_string(i), Sha256Hex(std::to_string(i))});
  }
  const std::string digest = datasets::ManifestDigest(manifest);
  control_.AddManifest(digest, manifest);
  control_.AddManifest("wrong", manifest);
  const auto back = worker_.control().GetManifest(digest);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, manifest);
  EXPECT_EQ(ErrorReason(worker_.control().GetManifest("wrong").status()),
            "BLOB_CORRUPT");
  EXPECT_EQ(ErrorReason(worker_.control().GetManifest("none").status()),
            "DATASET_NOT_FOUND");
}

TEST_F(ControlWireTest, FeaturesAreFoundByTheirKey) {
  auto& control = worker_.control();
  EXPECT_FALSE(control.FindFeatures("key")->has_value());
  EXPECT_TRUE(control.RecordFeatures("key", "digest").ok());
  EXPECT_EQ(**control.FindFeatures("key"), "digest");
}

TEST_F(ControlWireTest, AHintEndsTheWaitForWork) {
  auto& control = worker_.control();
  // Takes what was remembered.
  EXPECT_FALSE(control.Lease("w1", {}, absl::ZeroDuration())->has_value());
  const absl::Time start = absl::Now();
  std::thread front([this] {
    absl::SleepFor(absl::Milliseconds(50));
    front_.registry().HintWork();
  });
  EXPECT_FALSE(control.Lease("w1", {}, absl::Seconds(30))->has_value());
  front.join();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST_F(ControlWireTest, ADroppedStreamLosesTheLeasesAtOnce) {
  control_.Enqueue(worker::TrainingSpec());
  const worker::LeasedJob job = Lease();
  const absl::Time start = absl::Now();
  worker_.attachment().Stop();
  ASSERT_TRUE(Eventually([&] { return !front_.events().lost().empty(); }));
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  EXPECT_EQ(front_.events().lost().at(0), (LeaseName{job.id, job.fence}));
  // Without a stream there is no new job.
  control_.Enqueue(worker::TrainingSpec());
  EXPECT_FALSE(
      worker_.control().Lease("w1", {}, absl::ZeroDuration())->has_value());
}

TEST(ControlWireRestartTest, AFrontEndThatComesBackFindsItsWorkerAndItsJob) {
  FakeControl control;
  auto front = std::make_unique<FrontEnd>(&control);
  const int port = front->port();
  FakeWorker worker("w1", front->address());
  const absl::Time soon = absl::Now() + absl::Seconds(20);
  ASSERT_TRUE(worker.attachment().WaitUntilAttached(soon));
  control.Enqueue(worker::TrainingSpec());
  const auto job = worker.control().Lease("w1", {}, absl::ZeroDuration());
  ASSERT_TRUE(job.ok() && job->has_value());
  front.reset();
  // A write meanwhile waits for the next front end instead of failing.
  absl::Status written;
  std::thread writer([&] {
    written = worker.control().SaveCheckpoint((*job)->id, (*job)->fence, {"c"});
  });
  absl::SleepFor(absl::Milliseconds(200));
  front = std::make_unique<FrontEnd>(&control, port);
  writer.join();
  EXPECT_TRUE(written.ok()) << written;
  ASSERT_TRUE(
      Eventually([&] { return front->registry().Workers().size() == 1; }));
  EXPECT_TRUE(worker.attachment().WaitUntilAttached(soon));
  // The first beat tells the new front end whose job it is.
  ASSERT_TRUE(Eventually([&] {
    EXPECT_TRUE(worker.control().Heartbeat((*job)->id, (*job)->fence).ok());
    worker.attachment().Stop();
    return true;
  }));
  ASSERT_TRUE(Eventually([&] { return !front->events().lost().empty(); }));
  EXPECT_EQ(front->events().lost().at(0).job, (*job)->id);
}

TEST(ControlWireAuthTest, WithoutTheTokenNothingIsAnswered) {
  FakeControl control;
  control.Enqueue(worker::TrainingSpec());
  FrontEnd front(&control);
  const auto channel = Connect(front.address());
  const auto stub = pb::ControlService::NewStub(channel);
  const auto expect_refused = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    const absl::Status why = FromGrpc(status, "front end");
    EXPECT_EQ(ErrorReason(why), "WORKER_UNAUTHENTICATED");
    EXPECT_EQ(why.message(), "the worker token is missing or wrong");
  };
  for (const std::string& header :
       {std::string(), std::string("Bearer "), std::string("Bearer wrong"),
        TestToken("x").header()}) {
    grpc::ClientContext context;
    if (!header.empty()) context.AddMetadata("authorization", header);
    pb::GetBlobRequest request;
    pb::Chunk chunk;
    const auto reader = stub->GetBlob(&context, request);
    EXPECT_FALSE(reader->Read(&chunk));
    expect_refused(reader->Finish());
  }
  // Two headers are none, and a method that does not exist is not told of.
  grpc::ClientContext twice;
  twice.AddMetadata("authorization", TestToken().header());
  twice.AddMetadata("authorization", TestToken().header());
  pb::LeaseResponse response;
  expect_refused(stub->Lease(&twice, pb::LeaseRequest(), &response));
  const auto other = pb::ExecutorService::NewStub(channel);
  pb::ClassifyResponse classified;
  grpc::ClientContext none;
  expect_refused(other->Classify(&none, pb::ClassifyRequest(), &classified));
  grpc::ClientContext right;
  Prepare(TestToken(), absl::Now() + absl::Seconds(10), &right);
  EXPECT_EQ(
      other->Classify(&right, pb::ClassifyRequest(), &classified).error_code(),
      grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_FALSE(control.progress().size());
}

TEST(ControlWireAuthTest, AWorkerWithAWrongTokenIsRefusedForGood) {
  FakeControl control;
  FrontEnd front(&control);
  FakeWorker worker("w1", front.address(), TestToken("x"));
  ASSERT_TRUE(Eventually([&] { return !worker.refusal().ok(); }));
  EXPECT_EQ(ErrorReason(worker.refusal()), "WORKER_UNAUTHENTICATED");
  EXPECT_TRUE(front.registry().Workers().empty());
  EXPECT_EQ(ErrorReason(worker.control().PutBlob("x").status()),
            "WORKER_UNAUTHENTICATED");
}

TEST(ControlWireAuthTest, LeasesNeedAnAttachedWorker) {
  FakeControl control;
  control.Enqueue(worker::TrainingSpec());
  FrontEnd front(&control);
  ControlClient client({}, Connect(front.address()), TestToken(), nullptr);
  client.SetSession("made up");
  EXPECT_EQ(ErrorReason(client.Lease("w1", {}, absl::ZeroDuration()).status()),
            "NOT_ATTACHED");
  // A worker that waits finds out by itself when it is attached again. (The
  // first call takes what was remembered.)
  EXPECT_TRUE(client.Lease("w1", {}, absl::Milliseconds(1)).ok());
  std::thread attach([&client] {
    absl::SleepFor(absl::Milliseconds(50));
    client.NotifyWork();
  });
  const absl::Time start = absl::Now();
  const auto nothing = client.Lease("w1", {}, absl::Seconds(30));
  attach.join();
  EXPECT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_FALSE(nothing->has_value());
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

}  // namespace
}  // namespace promptd::wire
