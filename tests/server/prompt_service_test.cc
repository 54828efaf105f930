#include "server/prompt_service.h"

#include "absl/strings/match.h"
#include "common/sha256.h"
#include "nlohmann/json.hpp"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class PromptServiceTest : public ServerFixture {
 protected:
  PromptServiceTest() {
    PushPets();
    TrainOnce();
  }

  grpc::Status SetAlias(const std::string& name, int64_t version,
                        std::optional<int64_t> expected, v1::Alias* alias) {
    Context context;
    v1::SetAliasRequest request;
    request.set_task("pets");
    request.set_name(name);
    request.set_version(version);
    if (expected) request.set_expected_version(*expected);
    return prompts_->SetAlias(&context, request, alias);
  }

  grpc::Status GetVersion(const v1::GetVersionRequest& request,
                          v1::PromptVersion* version) {
    Context context;
    return prompts_->GetVersion(&context, request, version);
  }
};

TEST_F(PromptServiceTest, FirstPublicationIsProduction) {
  Context context;
  v1::GetTaskRequest request;
  request.set_name("pets");
  v1::Task task;
  ASSERT_TRUE(prompts_->GetTask(&context, request, &task).ok());
  EXPECT_EQ(task.latest_version(), 1);
  EXPECT_EQ(task.production_version(), 1);
  EXPECT_EQ(task.encoder(), "small");
  EXPECT_EQ(task.class_names(1), "dog");
}

TEST_F(PromptServiceTest, VersionIsFoundByNumberAliasAndDefault) {
  EXPECT_EQ(TrainOnce(), 2);
  v1::GetVersionRequest request;
  request.set_task("pets");
  v1::PromptVersion version;
  ASSERT_TRUE(GetVersion(request, &version).ok());
  EXPECT_EQ(version.version(), 1);
  request.set_alias("latest");
  ASSERT_TRUE(GetVersion(request, &version).ok());
  EXPECT_EQ(version.version(), 2);
  request.set_version(1);
  ASSERT_TRUE(GetVersion(request, &version).ok());
  EXPECT_EQ(version.version(), 1);
  EXPECT_EQ(version.job_id(), 1);
  EXPECT_EQ(version.spec().dataset(), "pets");
  EXPECT_EQ(version.evaluation().zero_shot_accuracy(), 0.5);
  request.set_version(9);
  EXPECT_EQ(Decode(GetVersion(request, &version)).reason, "VERSION_NOT_FOUND");
  request.set_alias("staging");
  EXPECT_EQ(Decode(GetVersion(request, &version)).reason, "ALIAS_NOT_FOUND");
  request.set_task("birds");
  EXPECT_EQ(Decode(GetVersion(request, &version)).reason, "TASK_NOT_FOUND");
}

TEST_F(PromptServiceTest, VersionsAreListedNewestFirst) {
  TrainOnce();
  Context context;
  v1::ListVersionsRequest request;
  request.set_task("pets");
  v1::ListVersionsResponse reply;
  ASSERT_TRUE(prompts_->ListVersions(&context, request, &reply).ok());
  ASSERT_EQ(reply.versions_size(), 2);
  EXPECT_EQ(reply.versions(0).version(), 2);
  EXPECT_EQ(reply.versions(1).aliases(0), "production");
}

TEST_F(PromptServiceTest, AliasMovesByCompareAndSwap) {
  TrainOnce();
  v1::Alias alias;
  ASSERT_TRUE(SetAlias("production", 2, 1, &alias).ok());
  EXPECT_EQ(alias.version(), 2);
  EXPECT_EQ(alias.revision(), 2);
  const ErrorDetails moved = Decode(SetAlias("production", 1, 1, &alias));
  EXPECT_EQ(moved.code, grpc::ABORTED);
  EXPECT_EQ(moved.reason, "ALIAS_MOVED");
  EXPECT_TRUE(absl::StrContains(moved.message, "2"));
  ASSERT_TRUE(SetAlias("staging", 1, 0, &alias).ok());
  EXPECT_EQ(Decode(SetAlias("staging", 2, 0, &alias)).reason, "ALIAS_MOVED");
  EXPECT_EQ(Decode(SetAlias("staging", 7, {}, &alias)).reason,
            "VERSION_NOT_FOUND");
  EXPECT_EQ(Decode(SetAlias("latest", 1, {}, &alias)).reason,
            "ALIAS_READ_ONLY");

  Context context;
  v1::ListAliasesRequest request;
  request.set_task("pets");
  v1::ListAliasesResponse reply;
  ASSERT_TRUE(prompts_->ListAliases(&context, request, &reply).ok());
  ASSERT_EQ(reply.aliases_size(), 3);
  EXPECT_EQ(reply.aliases(0).name(), "latest");
  EXPECT_EQ(reply.aliases(1).name(), "production");
}

TEST_F(PromptServiceTest, ExportHoldsTheContextAndAManifestThatNamesIt) {
  Context context;
  v1::ExportVersionRequest request;
  request.set_task("pets");
  request.set_version(1);
  v1::ExportVersionResponse reply;
  ASSERT_TRUE(prompts_->ExportVersion(&context, request, &reply).ok());
  EXPECT_EQ(reply.context(), "context of 1");
  EXPECT_TRUE(
      absl::StrContains(reply.manifest_json(), Sha256Hex(reply.context())));
  EXPECT_TRUE(nlohmann::json::parse(reply.manifest_json()).is_object());
}

}  // namespace
}  // namespace promptd::server
