// A disk that fails at its n-th call, for every n that what a user does comes
// to: each refusal names its reason, and to do it again is all that is needed.
#include <optional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "tests/server/server_fixture.h"
#include "tests/testing/scoped_failpoints.h"

namespace promptd::server {
namespace {

using testing::ScopedFailpoints;

class FailureSweepTest : public ServerFixture {
 protected:
  FailureSweepTest() {
    server_.reset();
    // The database's files are opened where they can fail.
    const ScopedFailpoints armed("db.write=error(EIO)@1000000000");
    StartServer(DefaultOptions());
  }

  // A dataset is pushed, a job trains on it and publishes, an alias moves, and
  // garbage is collected. The first refusal, with its reason. To be called
  // again with the same name until it is OK.
  absl::Status Round(const std::string& name) {
    absl::Status status = PushDatasetOf(name);
    if (status.ok()) status = Train(name);
    if (status.ok()) status = MoveAlias(name);
    if (status.ok() && collects_) status = Collect();
    return status;
  }

  // What a round leaves behind.
  void ExpectWhole(const std::string& name) {
    v1::ListTrainingJobsRequest list;
    list.set_task(name);
    v1::ListTrainingJobsResponse jobs;
    Context context;
    ASSERT_TRUE(training_->ListTrainingJobs(&context, list, &jobs).ok());
    ASSERT_EQ(jobs.jobs_size(), 1) << name;
    EXPECT_EQ(jobs.jobs(0).state(), v1::JOB_STATE_SUCCEEDED);
    v1::ListVersionsRequest of_task;
    of_task.set_task(name);
    v1::ListVersionsResponse versions;
    Context again;
    ASSERT_TRUE(prompts_->ListVersions(&again, of_task, &versions).ok());
    ASSERT_EQ(versions.versions_size(), 1) << name;
    EXPECT_EQ(versions.versions(0).version(), 1);
    v1::ListAliasesRequest aliases_of;
    aliases_of.set_task(name);
    v1::ListAliasesResponse aliases;
    Context third;
    ASSERT_TRUE(prompts_->ListAliases(&third, aliases_of, &aliases).ok());
    for (const v1::Alias& alias : aliases.aliases()) {
      if (alias.name() != "candidate") continue;
      EXPECT_EQ(alias.version(), 1);
      EXPECT_EQ(alias.revision(), 1);
      return;
    }
    ADD_FAILURE() << name << " has no alias";
  }

  // It reads every manifest there is: more calls each round.
  bool collects_ = true;

  // Rounds with the n-th call failing, for n from 1 on, until a round does not
  // come to it; how many calls that were.
  int Sweep(const std::string& point, const std::string& error,
            const std::set<std::string>& reasons) {
    for (int n = 1; n < 2000; ++n) {
      const std::string name = absl::StrCat("n", rounds_++);
      bool fired = false;
      {
        const ScopedFailpoints fail(
            absl::StrCat(point, "=error(", error, ")@", n));
        const absl::Status refused = Round(name);
        fired = fail.fired(point) > 0;
        const bool canonical =
            refused.ok() || reasons.contains(ErrorReason(refused));
        EXPECT_TRUE(canonical) << point << "@" << n << ": " << refused;
      }
      const absl::Status status = Round(name);
      EXPECT_TRUE(status.ok()) << point << "@" << n << ": " << status;
      ExpectWhole(name);
      if (HasFailure()) return -1;
      if (!fired) return n - 1;
    }
    return -1;
  }

 private:
  static absl::Status FromReply(const grpc::Status& status) {
    if (status.ok()) return absl::OkStatus();
    const ErrorDetails details = Decode(status);
    return MakeError(static_cast<absl::StatusCode>(details.code),
                     details.reason.empty() ? "NONE" : details.reason,
                     absl::StrCat("refused: ", details.message));
  }

  absl::Status PushDatasetOf(const std::string& name) {
    const auto messages = PushMessages(name, {"cat", "dog"},
                                       {{0, v1::SPLIT_TRAIN, 1},
                                        {1, v1::SPLIT_TRAIN, 1},
                                        {0, v1::SPLIT_TEST, 1},
                                        {1, v1::SPLIT_TEST, 1}});
    std::vector<std::string> missing;
    v1::PushDatasetResponse::Result result;
    absl::Status status = FromReply(Push(messages, &missing, &result));
    if (!status.ok()) return status;
    if (!missing.empty()) {
      v1::UploadImagesResponse uploaded;
      status = FromReply(Upload(result.push_id(),
                                {Png(0), Png(1), Png(2), Png(3)}, &uploaded));
      if (!status.ok()) return status;
    }
    v1::CommitDatasetRequest request;
    request.set_push_id(result.push_id());
    v1::Dataset dataset;
    Context context;
    return FromReply(datasets_->CommitDataset(&context, request, &dataset));
  }

  // Plays the worker, which goes on with the job it has.
  absl::Status Train(const std::string& name) {
    v1::CreateTrainingJobRequest request = PetsJob();
    request.mutable_spec()->set_task(name);
    request.mutable_spec()->set_dataset(name);
    request.mutable_spec()->set_shots(1);
    request.set_request_id(absl::StrCat("request-", name));
    v1::TrainingJob job;
    Context context;
    const absl::Status created =
        FromReply(training_->CreateTrainingJob(&context, request, &job));
    if (!created.ok()) return created;
    if (job.state() == v1::JOB_STATE_SUCCEEDED) return absl::OkStatus();
    if (!leased_ || leased_->id != job.id()) {
      auto leased = server_->control()->Lease(
          "local", {job.spec().encoder_digest()}, absl::ZeroDuration());
      if (!leased.ok()) return leased.status();
      if (!leased->has_value()) return absl::NotFoundError("nothing to lease");
      leased_ = **leased;
    }
    worker::Control* const control = server_->control();
    const auto context_blob = control->PutBlob(absl::StrCat("c ", name));
    if (!context_blob.ok()) return context_blob.status();
    const auto features_blob = control->PutBlob(absl::StrCat("f ", name));
    if (!features_blob.ok()) return features_blob.status();
    const absl::Status saved = control->SaveCheckpoint(
        leased_->id, leased_->fence, {.blob_digest = *context_blob});
    if (!saved.ok()) return saved;
    worker::FinishedPrompt prompt;
    prompt.context_digest = *context_blob;
    prompt.features_digest = *features_blob;
    prompt.class_names = {"cat", "dog"};
    return control->Publish(leased_->id, leased_->fence, prompt).status();
  }

  absl::Status MoveAlias(const std::string& name) {
    v1::SetAliasRequest request;
    request.set_task(name);
    request.set_name("candidate");
    request.set_version(1);
    v1::Alias alias;
    Context context;
    return FromReply(prompts_->SetAlias(&context, request, &alias));
  }

  absl::Status Collect() {
    const auto storage = v1::StorageService::NewStub(channel_);
    v1::CollectGarbageResponse reply;
    Context context;
    return FromReply(storage->CollectGarbage(&context, {}, &reply));
  }

  int rounds_ = 0;
  std::optional<worker::LeasedJob> leased_;
};

TEST_F(FailureSweepTest, NoCallOfTheBlobStoreThatFailsLosesOrDoublesAnything) {
  EXPECT_GE(Sweep("blob.write", "ENOSPC", {"DISK_FULL"}), 3);
  EXPECT_GE(Sweep("blob.sync", "EIO", {"FILE_WRITE_FAILED"}), 3);
  EXPECT_GE(Sweep("blob.rename", "EACCES", {"FILE_WRITE_FAILED"}), 3);
  EXPECT_GE(Sweep("blob.folder", "EIO", {"FILE_WRITE_FAILED"}), 3);
  collects_ = false;
  EXPECT_GE(Sweep("blob.read", "EIO", {"FILE_READ_FAILED"}), 3);
  Restart();
  EXPECT_TRUE(Round("after").ok());
  ExpectWhole("n0");
}

TEST_F(FailureSweepTest, NoCallOfTheDatabaseThatFailsLosesOrDoublesAnything) {
  EXPECT_GE(Sweep("db.write", "ENOSPC", {"DISK_FULL"}), 20);
  EXPECT_GE(Sweep("db.write", "EIO", {"DATABASE_IO"}), 20);
  EXPECT_GE(Sweep("db.sync", "EIO", {"DATABASE_IO"}), 5);
  Restart();
  EXPECT_TRUE(Round("after").ok());
  ExpectWhole("n0");
}

}  // namespace
}  // namespace promptd::server
