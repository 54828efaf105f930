#include "server/interpret_call.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class InterpretCallTest : public ServerFixture {
 protected:
  InterpretCallTest() { PushPets(); }

  // Publishes a version of "pets" with contexts of `tokens` vectors.
  void Train(int tokens, bool class_specific) {
    v1::CreateTrainingJobRequest job = PetsJob();
    job.mutable_spec()->set_context_tokens(tokens);
    job.mutable_spec()->set_class_specific(class_specific);
    CreateJob(job);
    Publish(Lease());
    request_.set_task("pets");
  }
  grpc::Status Interpret() {
    Context context;
    return prompts_->InterpretVersion(&context, request_, &reply_);
  }

  v1::InterpretVersionRequest request_;
  v1::InterpretVersionResponse reply_;
};

TEST_F(InterpretCallTest, ASharedContextIsAnsweredByPosition) {
  Train(4, false);
  const grpc::Status status = Interpret();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply_.task(), "pets");
  EXPECT_EQ(reply_.version(), 1);
  ASSERT_EQ(reply_.vectors_size(), 4);
  const v1::ContextVectorWords& third = reply_.vectors(2);
  EXPECT_EQ(third.class_name(), "");
  EXPECT_EQ(third.position(), 3);
  EXPECT_EQ(third.norm(), 3.0);
  ASSERT_EQ(third.words_size(), 3);  // when none are asked for
  EXPECT_EQ(third.words(1).token(), "token3</w>");
  EXPECT_EQ(third.words(1).token_id(), 3);
  EXPECT_EQ(third.words(1).distance(), 1.0);
  const worker::InterpretCall call = executor_.last_interpret();
  EXPECT_EQ(call.encoder_digest, std::string(64, 'b'));
  EXPECT_EQ(call.context_digest.size(), 64u);
  EXPECT_EQ(call.classes, 0);
  EXPECT_LT(call.deadline, absl::InfiniteFuture());
  EXPECT_TRUE(absl::StrContains(Metrics(), "method=\"InterpretVersion\""));
}

TEST_F(InterpretCallTest, ContextsOfClassesComeInTheVersionsOrder) {
  Train(2, true);
  request_.set_top_k(1);
  ASSERT_TRUE(Interpret().ok());
  ASSERT_EQ(reply_.vectors_size(), 4);
  EXPECT_EQ(reply_.vectors(1).class_name(), "cat");
  EXPECT_EQ(reply_.vectors(1).position(), 2);
  EXPECT_EQ(reply_.vectors(2).class_name(), "dog");
  EXPECT_EQ(reply_.vectors(2).position(), 1);
  EXPECT_EQ(reply_.vectors(2).words_size(), 1);
  EXPECT_THAT(executor_.last_interpret().class_indexes, ElementsAre(0, 1));
  EXPECT_EQ(executor_.last_interpret().classes, 2);

  for (const char* name : {"dog", "cat", "dog"}) request_.add_class_names(name);
  ASSERT_TRUE(Interpret().ok());
  EXPECT_THAT(executor_.last_interpret().class_indexes, ElementsAre(0, 1));
  request_.clear_class_names();
  request_.add_class_names("dog");
  ASSERT_TRUE(Interpret().ok());
  EXPECT_THAT(executor_.last_interpret().class_indexes, ElementsAre(1));
  ASSERT_EQ(reply_.vectors_size(), 2);
  EXPECT_EQ(reply_.vectors(0).class_name(), "dog");
}

TEST_F(InterpretCallTest, NamesEveryProblemAtOnce) {
  Train(2, true);
  request_.set_top_k(101);
  request_.add_class_names("dogg");
  request_.add_class_names("cat");
  request_.add_class_names("xylophone");
  request_.add_class_names(std::string(100'000, 'x'));
  const ErrorDetails error = Decode(Interpret());
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "BAD_TOP_K");
  EXPECT_THAT(error.Field("top_k"), HasSubstr("must be 1 to 100"));
  EXPECT_THAT(error.Field("class_names[0]"), HasSubstr("mean \"dog\"?"));
  EXPECT_EQ(error.Field("class_names[1]"), "");
  EXPECT_THAT(error.Field("class_names[2]"), HasSubstr("it has cat, dog"));
  EXPECT_NE(error.Field("class_names[3]"), "");
  request_.set_top_k(100);
  EXPECT_EQ(Decode(Interpret()).reason, "UNKNOWN_CLASS");
  request_.clear_class_names();
  EXPECT_TRUE(Interpret().ok());
  request_.set_top_k(-1);
  EXPECT_EQ(Decode(Interpret()).reason, "BAD_TOP_K");
}

TEST_F(InterpretCallTest, ManyUnknownClassesAreCounted) {
  Train(2, true);
  for (int i = 0; i < 1000; ++i) request_.add_class_names(absl::StrCat(i));
  const ErrorDetails error = Decode(Interpret());
  EXPECT_EQ(error.reason, "UNKNOWN_CLASS");
  EXPECT_THAT(error.Field("class_names"), HasSubstr("992 more"));
}

TEST_F(InterpretCallTest, ClassesOfASharedContextAreRefused) {
  Train(2, false);
  request_.add_class_names("cat");
  const ErrorDetails error = Decode(Interpret());
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "CONTEXT_IS_SHARED");
  EXPECT_THAT(error.Field("class_names"), HasSubstr("pets:1"));
}

TEST_F(InterpretCallTest, TooManyVectorsAreToBeNamedByClass) {
  ServerOptions options = DefaultOptions();
  options.limits.max_vectors_per_call = 6;
  StartServer(options);
  Train(4, true);
  const ErrorDetails error = Decode(Interpret());
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "TOO_MANY_VECTORS");
  EXPECT_THAT(error.Field("class_names"), HasSubstr("name at most 1 classes"));
  request_.add_class_names("cat");
  EXPECT_TRUE(Interpret().ok());
  Context context;
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(info_->GetServerInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.limits().max_vectors_per_call(), 6);
}

TEST_F(InterpretCallTest, VersionsAreFoundAsElsewhere) {
  Train(2, false);
  request_.set_version(7);
  EXPECT_EQ(Decode(Interpret()).reason, "VERSION_NOT_FOUND");
  request_.set_alias("staging");
  EXPECT_EQ(Decode(Interpret()).reason, "ALIAS_NOT_FOUND");
  request_.set_alias("latest");
  EXPECT_TRUE(Interpret().ok());
  request_.set_task("cars");
  EXPECT_EQ(Decode(Interpret()).reason, "TASK_NOT_FOUND");
}

}  // namespace
}  // namespace promptd::server
