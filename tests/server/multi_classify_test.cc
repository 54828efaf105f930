#include "server/multi_classify.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class MultiClassifyTest : public ServerFixture {
 protected:
  grpc::Status Send() {
    Context context;
    return classify_->MultiClassify(&context, request_, &reply_);
  }
  v1::TaskChoice* Add(const std::string& task) {
    v1::TaskChoice* choice = request_.add_tasks();
    choice->set_task(task);
    return choice;
  }
  // A task of its own with a version 1, on an encoder.
  void Train(const std::string& task, const std::string& encoder) {
    v1::CreateTrainingJobRequest job = PetsJob();
    job.mutable_spec()->set_task(task);
    job.mutable_spec()->set_encoder(encoder);
    CreateJob(job);
    Publish(Lease());
  }

  v1::MultiClassifyRequest request_;
  v1::MultiClassifyResponse reply_;
};

TEST_F(MultiClassifyTest, EachTaskAnswersAndOneCallIsSentAnEncoder) {
  PushPets();
  Train("pets", "small");
  Train("dogs", "small");
  Train("cats", "large");
  Add("pets")->set_version(1);
  Add("cats")->set_alias("latest");
  Add("dogs")->set_top_k(1);
  request_.add_images(Png(1));
  request_.add_images("garbage");
  request_.set_no_cache(true);
  const grpc::Status status = Send();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(reply_.tasks_size(), 3);
  const char* names[] = {"pets", "cats", "dogs"};
  for (int i = 0; i < 3; ++i) {
    const v1::TaskResult& task = reply_.tasks(i);
    EXPECT_EQ(task.task(), names[i]);
    EXPECT_EQ(task.version(), 1);
    EXPECT_EQ(task.version_digest().size(), 64u);
    EXPECT_EQ(task.encoder_digest(), std::string(64, i == 1 ? 'a' : 'b'));
    ASSERT_EQ(task.results_size(), 2);
    EXPECT_EQ(task.results(0).scores_size(), i == 2 ? 1 : 2);
    EXPECT_EQ(task.results(0).scores(0).class_name(), "cat");
    EXPECT_EQ(task.results(0).cache(), v1::CACHE_STATE_MISS);
    EXPECT_EQ(task.results(1).error_reason(), "IMAGE_UNKNOWN_FORMAT");
  }
  EXPECT_EQ(reply_.timings().encode().nanos(), 3'000'000);
  EXPECT_EQ(reply_.timings().total().nanos(), 9'000'000);
  EXPECT_EQ(reply_.request_id().size(), 36u);
  // By encoder: "cats" alone, "pets" and "dogs" together, last.
  EXPECT_EQ(executor_.calls(), 2);
  EXPECT_EQ(executor_.last_call().heads.size(), 2u);
  EXPECT_TRUE(executor_.last_call().no_cache);
}

TEST_F(MultiClassifyTest, DigestsAreAnsweredByEveryTask) {
  PushPets();
  Train("pets", "small");
  Train("cats", "large");
  Add("pets");
  Add("cats");
  const std::string known(32, 'k');
  executor_.KnowDigest(known);
  request_.add_image_digests(known);
  request_.add_image_digests(std::string(32, 'u'));
  request_.add_images(Png(1));
  ASSERT_TRUE(Send().ok());
  for (const v1::TaskResult& task : reply_.tasks()) {
    ASSERT_EQ(task.results_size(), 3);
    EXPECT_EQ(task.results(0).scores_size(), 2);
    EXPECT_EQ(task.results(1).scores_size(), 2);
    EXPECT_EQ(task.results(2).error_reason(), "IMAGE_NOT_CACHED");
  }
  request_.add_image_digests("short");
  request_.set_no_cache(true);
  const ErrorDetails error = Decode(Send());
  EXPECT_NE(error.Field("image_digests[2]"), "");
  EXPECT_NE(error.Field("no_cache"), "");
}

TEST_F(MultiClassifyTest, ATaskFailsAlone) {
  PushPets();
  Train("pets", "small");
  Train("dogs", "small");
  Add("pets");
  Add("birds");
  Add("pets")->set_version(7);
  Add("pets")->set_alias("beta");
  Add("dogs");
  request_.add_images(Png(1));
  executor_.FailHead(1, MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                                  "the head is no safetensors file"));
  ASSERT_TRUE(Send().ok());
  ASSERT_EQ(reply_.tasks_size(), 5);
  EXPECT_EQ(reply_.tasks(0).results_size(), 1);
  EXPECT_EQ(reply_.tasks(0).error_reason(), "");
  EXPECT_EQ(reply_.tasks(1).error_reason(), "TASK_NOT_FOUND");
  EXPECT_TRUE(absl::StrContains(reply_.tasks(1).error_message(), "birds"));
  EXPECT_EQ(reply_.tasks(2).error_reason(), "VERSION_NOT_FOUND");
  EXPECT_EQ(reply_.tasks(3).error_reason(), "ALIAS_NOT_FOUND");
  EXPECT_EQ(reply_.tasks(4).error_reason(), "BLOB_CORRUPT");
  EXPECT_TRUE(absl::StrContains(reply_.tasks(4).error_message(), "dogs:1"));
  EXPECT_EQ(reply_.tasks(4).results_size(), 0);
}

TEST_F(MultiClassifyTest, WhenEveryTaskIsUnknownNothingIsComputed) {
  Add("birds");
  Add("bees");
  request_.add_images(Png(1));
  ASSERT_TRUE(Send().ok());
  EXPECT_EQ(reply_.tasks(1).error_reason(), "TASK_NOT_FOUND");
  EXPECT_EQ(executor_.calls(), 0);
}

TEST_F(MultiClassifyTest, BadRequestsNameEveryField) {
  ErrorDetails error = Decode(Send());
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_CLASSIFY_REQUEST");
  EXPECT_NE(error.Field("tasks"), "");
  EXPECT_NE(error.Field("images"), "");
  Add("");
  Add("pets")->set_top_k(-1);
  for (int i = 0; i < 65; ++i) request_.add_images("x");
  error = Decode(Send());
  EXPECT_NE(error.Field("tasks[0].task"), "");
  EXPECT_NE(error.Field("tasks[1].top_k"), "");
  EXPECT_TRUE(absl::StrContains(error.Field("images"), "at most 64"));
  for (int i = 0; i < 63; ++i) Add("pets");
  error = Decode(Send());
  EXPECT_TRUE(absl::StrContains(error.Field("tasks"), "at most 64"));
}

TEST_F(MultiClassifyTest, TheReplyIsBounded) {
  ServerOptions options = DefaultOptions();
  options.limits.max_scores_per_call = 7;
  StartServer(options);
  PushPets();
  Train("pets", "small");
  Add("pets");
  Add("pets");
  request_.add_images(Png(1));
  EXPECT_TRUE(Send().ok());
  request_.add_images(Png(2));
  const ErrorDetails error = Decode(Send());
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_TRUE(absl::StrContains(error.Field("tasks"), "8 scores, at most 7"));
}

TEST_F(MultiClassifyTest, ADeadlineIsTheCallsOwnError) {
  PushPets();
  Train("pets", "small");
  Add("pets");
  Add("birds");
  request_.add_images(Png(1));
  executor_.HoldCalls();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(50));
  EXPECT_EQ(classify_->MultiClassify(&context, request_, &reply_).error_code(),
            grpc::DEADLINE_EXCEEDED);
}

TEST_F(MultiClassifyTest, LimitsAreTold) {
  Context context;
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(info_->GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.limits().max_tasks_per_call(), 64);
  EXPECT_EQ(info.limits().max_stream_items(), 32);
}

}  // namespace
}  // namespace promptd::server
