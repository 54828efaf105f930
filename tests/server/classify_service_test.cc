#include "server/classify_service.h"

#include "absl/strings/match.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class ClassifyServiceTest : public ServerFixture {
 protected:
  grpc::Status Classify(const v1::ClassifyRequest& request,
                        v1::ClassifyResponse* reply) {
    Context context;
    return classify_->Classify(&context, request, reply);
  }
  grpc::Status ZeroShot(const v1::ZeroShotClassifyRequest& request,
                        v1::ClassifyResponse* reply) {
    Context context;
    return classify_->ZeroShotClassify(&context, request, reply);
  }
};

TEST_F(ClassifyServiceTest, AnswersWithTheProductionVersion) {
  PushPets();
  TrainOnce();
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_images(Png(1));
  request.add_images("garbage");
  request.add_images("");
  v1::ClassifyResponse reply;
  const grpc::Status status = Classify(request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.version(), 1);
  EXPECT_EQ(reply.version_digest().size(), 64u);
  EXPECT_EQ(reply.encoder_digest(), std::string(64, 'b'));
  EXPECT_EQ(reply.request_id().size(), 36u);
  EXPECT_EQ(reply.timings().encode().nanos(), 3'000'000);
  EXPECT_EQ(reply.timings().total().nanos(), 9'000'000);
  EXPECT_EQ(reply.results(0).cache(), v1::CACHE_STATE_MISS);
  EXPECT_EQ(reply.results(0).batch_size(), 7);
  EXPECT_FALSE(executor_.last_call().no_cache);
  EXPECT_NE(executor_.last_call().tenant, "");
  ASSERT_EQ(reply.results_size(), 3);
  ASSERT_EQ(reply.results(0).scores_size(), 2);  // top 5 of two classes
  EXPECT_EQ(reply.results(0).scores(0).class_name(), "cat");
  EXPECT_EQ(reply.results(0).scores(1).class_name(), "dog");
  EXPECT_EQ(reply.results(1).scores_size(), 0);
  EXPECT_EQ(reply.results(1).error_reason(), "IMAGE_UNKNOWN_FORMAT");
  EXPECT_EQ(reply.results(2).error_reason(), "IMAGE_EMPTY");
  EXPECT_EQ(executor_.last_call().heads.at(0).text.features_digest.size(), 64u);
}

TEST_F(ClassifyServiceTest, VersionAliasAndTopKAreHonoured) {
  PushPets();
  TrainOnce();
  TrainOnce();
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.set_alias("latest");
  request.set_top_k(1);
  request.add_images(Png(1));
  v1::ClassifyResponse reply;
  ASSERT_TRUE(Classify(request, &reply).ok());
  EXPECT_EQ(reply.version(), 2);
  EXPECT_EQ(reply.results(0).scores_size(), 1);
  request.set_version(1);
  ASSERT_TRUE(Classify(request, &reply).ok());
  EXPECT_EQ(reply.version(), 1);
  request.set_version(5);
  EXPECT_EQ(Decode(Classify(request, &reply)).reason, "VERSION_NOT_FOUND");
  request.set_task("birds");
  EXPECT_EQ(Decode(Classify(request, &reply)).reason, "TASK_NOT_FOUND");
}

TEST_F(ClassifyServiceTest, DamagedBytesAreDataLossThatNamesTheVersion) {
  PushPets();
  TrainOnce();
  executor_.FailHead(0, MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                                  "the stored blob is damaged"));
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_images(Png(1));
  v1::ClassifyResponse reply;
  const auto damaged = Decode(Classify(request, &reply));
  EXPECT_EQ(damaged.code, grpc::DATA_LOSS);
  EXPECT_EQ(damaged.reason, "BLOB_CORRUPT");
  EXPECT_EQ(damaged.message,
            "version pets:1 cannot be served: the stored blob is damaged");
  executor_.FailHead(
      0, MakeError(absl::StatusCode::kUnavailable, "QUEUE_FULL", "try again"));
  EXPECT_EQ(Decode(Classify(request, &reply)).message, "try again");
}

TEST_F(ClassifyServiceTest, BadRequestsNameEveryField) {
  v1::ClassifyRequest request;
  request.set_top_k(-1);
  v1::ClassifyResponse reply;
  ErrorDetails error = Decode(Classify(request, &reply));
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.fields.size(), 3u);
  request.set_task("pets");
  request.set_top_k(0);
  for (int i = 0; i < 65; ++i) request.add_images("x");
  error = Decode(Classify(request, &reply));
  EXPECT_TRUE(absl::StrContains(error.Field("images"), "at most 64"));
}

TEST_F(ClassifyServiceTest, DigestsAreAnsweredBehindTheImages) {
  PushPets();
  TrainOnce();
  const std::string known(32, '\xff');
  executor_.KnowDigest(known);
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_image_digests(std::string(32, '\0'));
  request.add_image_digests(known);
  request.add_images(Png(1));
  v1::ClassifyResponse reply;
  ASSERT_TRUE(Classify(request, &reply).ok());
  ASSERT_EQ(reply.results_size(), 3);
  EXPECT_EQ(reply.results(0).scores_size(), 2);
  EXPECT_EQ(reply.results(1).error_reason(), "IMAGE_NOT_CACHED");
  EXPECT_EQ(reply.results(2).scores(0).class_name(), "cat");
  request.clear_images();
  ASSERT_TRUE(Classify(request, &reply).ok());
  EXPECT_EQ(reply.results(0).error_reason(), "IMAGE_NOT_CACHED");
  EXPECT_EQ(reply.results(1).error_reason(), "");
  v1::ZeroShotClassifyRequest zero_shot;
  zero_shot.add_labels("dog");
  zero_shot.add_image_digests(known);
  ASSERT_TRUE(ZeroShot(zero_shot, &reply).ok());
  EXPECT_EQ(reply.results(0).scores(0).class_name(), "dog");
}

TEST_F(ClassifyServiceTest, BadDigestsAreNamed) {
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_image_digests(std::string(32, 'x'));
  request.add_image_digests(std::string(64, 'a'));
  request.add_image_digests("");
  request.set_no_cache(true);
  v1::ClassifyResponse reply;
  ErrorDetails error = Decode(Classify(request, &reply));
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_CLASSIFY_REQUEST");
  EXPECT_EQ(error.fields.size(), 3u);
  EXPECT_TRUE(absl::StrContains(error.Field("image_digests[1]"), "64 bytes"));
  EXPECT_NE(error.Field("image_digests[2]"), "");
  EXPECT_NE(error.Field("no_cache"), "");
  v1::ZeroShotClassifyRequest zero_shot;
  zero_shot.add_labels("dog");
  zero_shot.add_image_digests("short");
  error = Decode(ZeroShot(zero_shot, &reply));
  EXPECT_NE(error.Field("image_digests[0]"), "");
}

TEST_F(ClassifyServiceTest, ImagesAndDigestsAreBoundedTogether) {
  v1::ClassifyRequest request;
  request.set_task("pets");
  for (int i = 0; i < 40; ++i) request.add_images("x");
  for (int i = 0; i < 25; ++i) request.add_image_digests(std::string(32, 'x'));
  v1::ClassifyResponse reply;
  const ErrorDetails error = Decode(Classify(request, &reply));
  EXPECT_TRUE(
      absl::StrContains(error.Field("images"), "65 images, at most 64"));
}

TEST_F(ClassifyServiceTest, AnOversizedMessageIsRefusedAndTheServerLives) {
  v1::ClassifyRequest request;
  request.set_task("pets");
  request.add_images(std::string(size_t{17} << 20, 'x'));
  v1::ClassifyResponse reply;
  EXPECT_EQ(Classify(request, &reply).error_code(), grpc::RESOURCE_EXHAUSTED);
  Context context;
  v1::GetServerInfoResponse info;
  EXPECT_TRUE(info_->GetServerInfo(&context, {}, &info).ok());
}

TEST_F(ClassifyServiceTest, ZeroShotFillsTheTemplate) {
  v1::ZeroShotClassifyRequest request;
  request.add_labels("ice_cream");
  request.add_labels("dog");
  request.add_images(Png(1));
  v1::ClassifyResponse reply;
  ASSERT_TRUE(ZeroShot(request, &reply).ok());
  EXPECT_EQ(executor_.last_call().heads.at(0).text.texts,
            (std::vector<std::string>{"a photo of a ice cream.",
                                      "a photo of a dog."}));
  EXPECT_EQ(executor_.last_call().encoder_digest, std::string(64, 'b'));
  EXPECT_EQ(reply.version(), 0);
  EXPECT_EQ(reply.results(0).scores(0).class_name(), "ice_cream");
  request.set_template_("art of the {}");
  request.set_no_cache(true);
  request.set_encoder("large");
  ASSERT_TRUE(ZeroShot(request, &reply).ok());
  EXPECT_EQ(executor_.last_call().heads.at(0).text.texts[1], "art of the dog");
  EXPECT_TRUE(executor_.last_call().no_cache);
  EXPECT_EQ(reply.encoder_digest(), std::string(64, 'a'));
}

TEST_F(ClassifyServiceTest, ZeroShotChecksLabelsAndTemplate) {
  v1::ZeroShotClassifyRequest request;
  request.add_images(Png(1));
  request.add_labels("dog");
  request.add_labels("Dog");
  request.add_labels("");
  request.add_labels(std::string(300, 'x'));
  request.add_labels("a\nb");
  request.set_template_("{}{}");
  v1::ClassifyResponse reply;
  const ErrorDetails error = Decode(ZeroShot(request, &reply));
  for (const char* field :
       {"labels[1]", "labels[2]", "labels[3]", "labels[4]", "template"}) {
    EXPECT_NE(error.Field(field), "") << field;
  }
  v1::ZeroShotClassifyRequest none;
  none.add_images(Png(1));
  EXPECT_NE(Decode(ZeroShot(none, &reply)).Field("labels"), "");
  none.add_labels("x");
  none.set_encoder("huge");
  EXPECT_EQ(Decode(ZeroShot(none, &reply)).reason, "ENCODER_NOT_FOUND");
}

}  // namespace
}  // namespace promptd::server
