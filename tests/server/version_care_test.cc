// Tags, lineage, deletion and garbage collection over a real channel.
#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "absl/strings/match.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

namespace fs = std::filesystem;

class VersionCareTest : public ServerFixture {
 protected:
  VersionCareTest() {
    PushPets();
    for (int i = 0; i < 2; ++i) TrainOnce();
    storage_ = v1::StorageService::NewStub(channel_);
  }

  grpc::Status Tag(const v1::ChangeVersionTagsRequest& request) {
    Context context;
    v1::ChangeVersionTagsResponse ignored;
    return prompts_->ChangeVersionTags(&context, request, &ignored);
  }
  static v1::ChangeVersionTagsRequest Tags(int64_t version,
                                           const std::string& key,
                                           const std::string& value) {
    v1::ChangeVersionTagsRequest request;
    request.set_task("pets");
    request.set_version(version);
    (*request.mutable_set())[key] = value;
    return request;
  }
  grpc::Status List(const std::string& tag, v1::ListVersionsResponse* reply) {
    v1::ListVersionsRequest request;
    request.set_task("pets");
    request.add_tags(tag);
    Context context;
    return prompts_->ListVersions(&context, request, reply);
  }
  v1::GetLineageResponse Lineage(const std::string& task, int64_t version) {
    v1::GetLineageRequest request;
    request.set_task(task);
    request.set_version(version);
    Context context;
    v1::GetLineageResponse reply;
    const grpc::Status status = prompts_->GetLineage(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  grpc::Status Derived(const v1::ListDerivedVersionsRequest& request,
                       v1::ListDerivedVersionsResponse* reply) {
    Context context;
    reply->Clear();
    return prompts_->ListDerivedVersions(&context, request, reply);
  }
  grpc::Status DeleteVersion(int64_t version) {
    v1::DeleteVersionRequest request;
    request.set_task("pets");
    request.set_version(version);
    Context context;
    v1::DeleteVersionResponse ignored;
    return prompts_->DeleteVersion(&context, request, &ignored);
  }
  grpc::Status DeleteTask() {
    v1::DeleteTaskRequest request;
    request.set_name("pets");
    Context context;
    v1::DeleteTaskResponse ignored;
    return prompts_->DeleteTask(&context, request, &ignored);
  }
  grpc::Status Collect(const v1::CollectGarbageRequest& request,
                       v1::CollectGarbageResponse* reply) {
    Context context;
    return storage_->CollectGarbage(&context, request, reply);
  }
  // As if everything had been stored two days ago.
  void AgeBlobs() {
    for (const auto& file :
         fs::recursive_directory_iterator(dir_.path() + "/data/blobs")) {
      if (!file.is_regular_file()) continue;
      fs::last_write_time(
          file, fs::file_time_type::clock::now() - std::chrono::hours(48));
    }
  }

  std::unique_ptr<v1::StorageService::Stub> storage_;
};

TEST_F(VersionCareTest, TagsAreOnTheVersionAndInTheList) {
  ASSERT_TRUE(Tag(Tags(2, "by", "ann")).ok());
  v1::GetVersionRequest get;
  get.set_task("pets");
  get.set_version(2);
  Context context;
  v1::PromptVersion version;
  ASSERT_TRUE(prompts_->GetVersion(&context, get, &version).ok());
  EXPECT_EQ(version.tags().at("by"), "ann");
  v1::ListVersionsResponse listed;
  ASSERT_TRUE(List("by=ann", &listed).ok());
  ASSERT_EQ(listed.versions_size(), 1);
  EXPECT_EQ(listed.versions(0).version(), 2);
  EXPECT_EQ(listed.versions(0).tags().at("by"), "ann");
  listed.Clear();
  ASSERT_TRUE(List("by=bob", &listed).ok());
  EXPECT_EQ(listed.versions_size(), 0);
  EXPECT_EQ(Decode(List("Bad Key", &listed)).reason, "INVALID_TAG");
}

TEST_F(VersionCareTest, BadTagsAreRefusedAllAtOnce) {
  v1::ChangeVersionTagsRequest request = Tags(1, "ok", std::string(257, 'x'));
  request.add_remove("Not A Key");
  const ErrorDetails refused = Decode(Tag(request));
  EXPECT_EQ(refused.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(refused.reason, "INVALID_TAG");
  EXPECT_EQ(refused.fields.size(), 2u);
  EXPECT_NE(refused.Field("set[ok]"), "");
  EXPECT_EQ(Decode(Tag(Tags(7, "a", ""))).reason, "VERSION_NOT_FOUND");
}

TEST_F(VersionCareTest, LineageLeadsToDatasetEncoderJobAndSource) {
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_task("more-pets");
  request.mutable_spec()->mutable_initial_version()->set_task("pets");
  request.mutable_spec()->mutable_initial_version()->set_version(2);
  CreateJob(request);
  ASSERT_EQ(Publish(Lease()), 1);
  const v1::GetLineageResponse lineage = Lineage("more-pets", 1);
  EXPECT_EQ(lineage.version().dataset(), "pets");
  EXPECT_TRUE(lineage.dataset_stored());
  EXPECT_TRUE(lineage.encoder_held());
  EXPECT_EQ(lineage.version().job_id(), 3);
  ASSERT_EQ(lineage.sources_size(), 1);
  EXPECT_EQ(lineage.sources(0).task(), "pets");
  EXPECT_EQ(lineage.sources(0).version(), 2);
  EXPECT_NE(lineage.sources(0).digest(), "");

  v1::ListDerivedVersionsRequest derived;
  v1::ListDerivedVersionsResponse found;
  derived.mutable_source()->set_task("pets");
  derived.mutable_source()->set_version(2);
  ASSERT_TRUE(Derived(derived, &found).ok());
  ASSERT_EQ(found.versions_size(), 1);
  EXPECT_EQ(found.versions(0).task(), "more-pets");
  derived.set_dataset("pets");
  derived.set_page_size(2);
  ASSERT_TRUE(Derived(derived, &found).ok());
  EXPECT_EQ(found.versions_size(), 2);
  derived.set_page_token(found.next_page_token());
  ASSERT_TRUE(Derived(derived, &found).ok());
  EXPECT_EQ(found.versions_size(), 1);
  EXPECT_EQ(found.next_page_token(), "");
  derived.clear_page_token();
  derived.set_encoder_digest(lineage.version().encoder_digest());
  derived.set_page_size(0);
  ASSERT_TRUE(Derived(derived, &found).ok());
  EXPECT_EQ(found.versions_size(), 3);
  derived.set_dataset("nobody's");
  EXPECT_EQ(Decode(Derived(derived, &found)).reason, "DATASET_NOT_FOUND");
  EXPECT_EQ(Decode(Derived({}, &found)).reason, "NO_ORIGIN");
}

TEST_F(VersionCareTest, ADatasetThatWasDeletedIsStillTheOrigin) {
  const std::string digest = Lineage("pets", 1).version().dataset_digest();
  Context context;
  v1::DeleteDatasetRequest request;
  request.set_name("pets");
  v1::DeleteDatasetResponse ignored;
  ASSERT_TRUE(datasets_->DeleteDataset(&context, request, &ignored).ok());
  EXPECT_FALSE(Lineage("pets", 1).dataset_stored());
  v1::ListDerivedVersionsRequest derived;
  derived.set_dataset_digest(digest);
  v1::ListDerivedVersionsResponse found;
  ASSERT_TRUE(Derived(derived, &found).ok());
  EXPECT_EQ(found.versions_size(), 2);
}

TEST_F(VersionCareTest, WhatAnAliasOrAJobNeedsIsNotDeleted) {
  const ErrorDetails named = Decode(DeleteVersion(1));
  EXPECT_EQ(named.code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(named.reason, "VERSION_IN_USE");
  EXPECT_TRUE(absl::StrContains(named.message, "production"));
  EXPECT_EQ(Decode(DeleteTask()).reason, "TASK_IN_USE");

  v1::CreateEvaluationRequest evaluate;
  evaluate.mutable_spec()->mutable_version()->set_task("pets");
  evaluate.mutable_spec()->mutable_version()->set_version(2);
  evaluate.mutable_spec()->set_dataset("pets");
  Context context;
  v1::TrainingJob job;
  ASSERT_TRUE(prompts_->CreateEvaluation(&context, evaluate, &job).ok());
  const ErrorDetails evaluated = Decode(DeleteVersion(2));
  EXPECT_EQ(evaluated.reason, "VERSION_IN_USE");
  EXPECT_TRUE(absl::StrContains(evaluated.message, "job 3"));
  Context again;
  v1::CancelTrainingJobRequest cancel;
  cancel.set_id(job.id());
  ASSERT_TRUE(training_->CancelTrainingJob(&again, cancel, &job).ok());
  EXPECT_TRUE(DeleteVersion(2).ok());
  EXPECT_EQ(Decode(DeleteVersion(2)).reason, "VERSION_NOT_FOUND");
}

TEST_F(VersionCareTest, ATaskGoesWithItsVersionsOnceNothingNamesIt) {
  v1::DeleteAliasRequest request;
  request.set_task("pets");
  Context context;
  v1::DeleteAliasResponse ignored;
  ASSERT_TRUE(prompts_->DeleteAlias(&context, request, &ignored).ok());
  const int64_t job = CreateJob(PetsJob()).id();
  const ErrorDetails needed = Decode(DeleteTask());
  EXPECT_EQ(needed.reason, "TASK_IN_USE");
  EXPECT_TRUE(absl::StrContains(needed.message, "job 3"));
  Context again;
  v1::CancelTrainingJobRequest cancel;
  cancel.set_id(job);
  v1::TrainingJob cancelled;
  ASSERT_TRUE(training_->CancelTrainingJob(&again, cancel, &cancelled).ok());
  EXPECT_TRUE(DeleteTask().ok());
  EXPECT_EQ(Decode(DeleteTask()).reason, "TASK_NOT_FOUND");
}

TEST_F(VersionCareTest, GarbageIsCountedThenDeletedAndTheRestStaysWhole) {
  ASSERT_TRUE(DeleteVersion(2).ok());
  AgeBlobs();
  v1::CollectGarbageRequest request;
  request.set_dry_run(true);
  v1::CollectGarbageResponse dry;
  ASSERT_TRUE(Collect(request, &dry).ok());
  EXPECT_EQ(dry.deleted().blobs(), 3);  // manifest, context, features
  request.set_dry_run(false);
  v1::CollectGarbageResponse reply;
  ASSERT_TRUE(Collect(request, &reply).ok());
  EXPECT_EQ(reply.deleted().blobs(), 3);
  EXPECT_EQ(reply.deleted().bytes(), dry.deleted().bytes());
  v1::ExportVersionRequest exported;
  exported.set_task("pets");
  exported.set_version(1);
  Context context;
  v1::ExportVersionResponse files;
  EXPECT_TRUE(prompts_->ExportVersion(&context, exported, &files).ok());
  TrainOnce();  // the dataset's images are there
  v1::CollectGarbageResponse none;
  ASSERT_TRUE(Collect(request, &none).ok());
  EXPECT_EQ(none.deleted().blobs(), 0);
}

TEST_F(VersionCareTest, TheGraceOfACollectionIsAtLeastAnHour) {
  v1::CollectGarbageRequest request;
  request.mutable_grace()->set_seconds(3599);
  v1::CollectGarbageResponse ignored;
  const ErrorDetails refused = Decode(Collect(request, &ignored));
  EXPECT_EQ(refused.code, grpc::INVALID_ARGUMENT);
  EXPECT_EQ(refused.reason, "INVALID_GRACE");
  request.mutable_grace()->set_seconds(3600);
  EXPECT_TRUE(Collect(request, &ignored).ok());
}

TEST_F(VersionCareTest, AFullQuotaRefusesUploadsAndSaysWhatToDo) {
  ServerOptions options = DefaultOptions();
  options.max_blob_bytes = 1;
  StartServer(options);
  const auto messages =
      PushMessages("more", {"cat"}, {{0, v1::SPLIT_TRAIN, 30}});
  std::vector<std::string> missing;
  v1::PushDatasetResponse::Result result;
  ASSERT_TRUE(Push(messages, &missing, &result).ok());
  v1::UploadImagesResponse uploaded;
  const ErrorDetails full =
      Decode(Upload(result.push_id(), {Png(29)}, &uploaded));
  EXPECT_EQ(full.code, grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(full.reason, "STORAGE_QUOTA");
  EXPECT_TRUE(absl::StrContains(full.message, "promptctl gc"));
}

}  // namespace
}  // namespace promptd::server
