#include "server/watch_stream.h"

#include <thread>

#include "absl/time/clock.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class WatchTest : public ServerFixture {
 protected:
  std::vector<v1::JobEvent> Watch(int64_t id, int64_t from,
                                  grpc::Status* status) {
    Context context;
    v1::WatchTrainingJobRequest request;
    request.set_id(id);
    request.set_from_sequence(from);
    auto stream = training_->WatchTrainingJob(&context, request);
    std::vector<v1::JobEvent> events;
    v1::JobEvent event;
    while (stream->Read(&event)) events.push_back(event);
    *status = stream->Finish();
    return events;
  }

  void Report(const worker::LeasedJob& job, int epoch) {
    worker::Progress progress;
    progress.phase = "train";
    progress.epoch = epoch;
    ASSERT_TRUE(
        server_->control()->ReportProgress(job.id, job.fence, progress).ok());
  }
};

TEST_F(WatchTest, ReplaysFromAnySequenceAndEndsAfterTheLastEvent) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  const worker::LeasedJob job = Lease();
  for (int epoch = 1; epoch <= 100; ++epoch) Report(job, epoch);
  Publish(job);
  grpc::Status status;
  const std::vector<v1::JobEvent> all = Watch(id, 0, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_GE(all.size(), 103u);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].sequence(), static_cast<int64_t>(i) + 1);
  }
  EXPECT_EQ(all.front().state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(all.back().state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(all.back().version(), 1);

  const int64_t last = all.back().sequence();
  const std::vector<v1::JobEvent> tail = Watch(id, last - 1, &status);
  EXPECT_TRUE(status.ok());
  ASSERT_EQ(tail.size(), 2u);
  EXPECT_EQ(tail[0].sequence(), last - 1);
  EXPECT_TRUE(Watch(id, last + 50, &status).empty());
  EXPECT_TRUE(status.ok());
}

TEST_F(WatchTest, DeliversEventsAsTheyHappen) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  Context context;
  v1::WatchTrainingJobRequest request;
  request.set_id(id);
  auto stream = training_->WatchTrainingJob(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.state(), v1::JOB_STATE_QUEUED);
  const worker::LeasedJob job = Lease();
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.state(), v1::JOB_STATE_RUNNING);
  for (int epoch = 1; epoch <= 20; ++epoch) {
    Report(job, epoch);
    ASSERT_TRUE(stream->Read(&event));
    EXPECT_EQ(event.progress().epoch(), epoch);
  }
  Publish(job);
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(WatchTest, ManyWatchersSeeTheSameStory) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  constexpr int kWatchers = 20;
  std::vector<std::vector<v1::JobEvent>> seen(kWatchers);
  std::vector<grpc::Status> statuses(kWatchers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWatchers; ++i) {
    threads.emplace_back([&, i] { seen[i] = Watch(id, 1, &statuses[i]); });
  }
  const worker::LeasedJob job = Lease();
  for (int epoch = 1; epoch <= 50; ++epoch) Report(job, epoch);
  Publish(job);
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kWatchers; ++i) {
    EXPECT_TRUE(statuses[i].ok()) << statuses[i].error_message();
    EXPECT_EQ(seen[i].size(), seen[0].size());
  }
}

TEST_F(WatchTest, UnknownJobAndBadSequenceAreRefused) {
  grpc::Status status;
  Watch(17, 0, &status);
  EXPECT_EQ(Decode(status).reason, "JOB_NOT_FOUND");
  Watch(17, -1, &status);
  EXPECT_NE(Decode(status).Field("from_sequence"), "");
}

TEST_F(WatchTest, TooManyWatchersAreRefused) {
  ServerOptions options = DefaultOptions();
  options.limits.max_watchers = 1;
  StartServer(options);
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  Context context;
  v1::WatchTrainingJobRequest request;
  request.set_id(id);
  auto first = training_->WatchTrainingJob(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(first->Read(&event));
  grpc::Status status;
  Watch(id, 0, &status);
  EXPECT_EQ(Decode(status).reason, "TOO_MANY_WATCHERS");
  context.TryCancel();
  EXPECT_EQ(first->Finish().error_code(), grpc::CANCELLED);
}

TEST_F(WatchTest, ShutdownEndsWatchesAtOnceWithUnavailable) {
  PushPets();
  const int64_t id = CreateJob(PetsJob()).id();
  Context context;
  v1::WatchTrainingJobRequest request;
  request.set_id(id);
  auto stream = training_->WatchTrainingJob(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(stream->Read(&event));
  const absl::Time start = absl::Now();
  server_->Shutdown(start + absl::Seconds(30));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_FALSE(stream->Read(&event));
  const ErrorDetails error = Decode(stream->Finish());
  EXPECT_EQ(error.code, grpc::UNAVAILABLE);
  EXPECT_EQ(error.reason, "SHUTTING_DOWN");
  EXPECT_TRUE(error.retry);
}

}  // namespace
}  // namespace promptd::server
