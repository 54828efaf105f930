// Versions as archives over a real channel: out, in, and what is refused.
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/sha256.h"
#include "promptd/v1/archive.grpc.pb.h"
#include "server/plain_tar.h"
#include "tests/server/server_fixture.h"
#include "tests/testing/filled_tensor.h"
#include "worker/head_blob.h"
#include "worker/tensor_blob.h"

namespace promptd::server {
namespace {

using testing::Filled;

class ArchiveServiceTest : public ServerFixture {
 protected:
  ArchiveServiceTest() {
    PushPets();
    Connect();
    CreateJob(PetsJob());
    const worker::LeasedJob job = Lease();
    worker::FinishedPrompt prompt = Finished(job);
    const auto encoder = Encoder(job.spec.encoder_digest);
    prompt.context_digest = PutBlob(*worker::SerializeTensor(
        "ctx", Filled({job.spec.context_tokens, encoder.text_width}, 0.25f)));
    ClassHead head;
    head.weights = Filled({2, encoder.embed_dim}, 0);
    head.weights.values[0] = 1;
    head.weights.values[static_cast<size_t>(encoder.embed_dim)] = 1;
    prompt.features_digest = PutBlob(*worker::SerializeHead(head));
    EXPECT_TRUE(server_->control()->Publish(job.id, job.fence, prompt).ok());
  }

  void Connect() { archives_ = v1::ArchiveService::NewStub(channel_); }
  std::string PutBlob(const std::string& bytes) {
    return *server_->control()->PutBlob(bytes);
  }
  worker::EncoderDescription Encoder(const std::string& digest) {
    for (const auto& encoder : executor_.Encoders()) {
      if (encoder.digest == digest) return encoder;
    }
    return {};
  }

  grpc::Status Export(const std::string& task, int64_t version,
                      std::string* bytes) {
    v1::ExportArchiveRequest request;
    request.set_task(task);
    request.set_version(version);
    Context context;
    const auto reader = archives_->ExportArchive(&context, request);
    bytes->clear();
    v1::ExportArchiveResponse response;
    while (reader->Read(&response)) *bytes += response.chunk();
    return reader->Finish();
  }
  std::string Exported(const std::string& task = "pets", int64_t version = 1) {
    std::string bytes;
    const grpc::Status status = Export(task, version, &bytes);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return bytes;
  }
  // In chunks that cut members anywhere.
  grpc::Status Import(const std::string& bytes, const std::string& task = "") {
    Context context;
    imported_.Clear();
    const auto writer = archives_->ImportArchive(&context, &imported_);
    v1::ImportArchiveRequest request;
    request.set_task(task);
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      request.set_chunk(bytes.substr(at, 1000));
      if (!writer->Write(request)) break;
      request.clear_task();
    }
    writer->WritesDone();
    return writer->Finish();
  }
  // Another server that has nothing yet.
  void StartElsewhere() {
    ServerOptions options = DefaultOptions();
    options.data_dir = dir_.path() + "/elsewhere";
    StartServer(options);
    Connect();
  }
  int64_t Evaluate() {
    v1::CreateEvaluationRequest request;
    request.mutable_spec()->mutable_version()->set_task("pets");
    request.mutable_spec()->set_dataset("pets");
    Context context;
    v1::TrainingJob job;
    EXPECT_TRUE(prompts_->CreateEvaluation(&context, request, &job).ok());
    const worker::LeasedJob leased = Lease();
    worker::Evaluation evaluation;
    evaluation.split = "test";
    evaluation.images = 2;
    evaluation.accuracy = 0.25;
    EXPECT_TRUE(server_->control()
                    ->StoreEvaluation(leased.id, leased.fence, evaluation)
                    .ok());
    return job.id();
  }

  std::unique_ptr<v1::ArchiveService::Stub> archives_;
  v1::ImportArchiveResponse imported_;  // of the last call
};

TEST_F(ArchiveServiceTest, AnotherServerGetsTheSameVersionAndTheSameArchive) {
  Evaluate();
  const std::string bytes = Exported();
  EXPECT_EQ(Exported(), bytes);
  v1::GetVersionRequest request;
  request.set_task("pets");
  Context before_context;
  v1::PromptVersion before;
  ASSERT_TRUE(prompts_->GetVersion(&before_context, request, &before).ok());

  StartElsewhere();
  const grpc::Status status = Import(bytes);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_FALSE(imported_.existed());
  const v1::PromptVersion& version = imported_.version();
  EXPECT_EQ(version.task(), "pets");
  EXPECT_EQ(version.version(), 1);
  EXPECT_EQ(version.digest(), before.digest());
  EXPECT_EQ(version.context_digest(), before.context_digest());
  EXPECT_EQ(version.dataset_digest(), before.dataset_digest());
  EXPECT_EQ(version.evaluation().accuracy(), 1.0);
  EXPECT_EQ(Exported(), bytes);

  Context listed;
  v1::ListEvaluationsRequest list;
  list.set_task("pets");
  v1::ListEvaluationsResponse evaluations;
  ASSERT_TRUE(prompts_->ListEvaluations(&listed, list, &evaluations).ok());
  ASSERT_EQ(evaluations.evaluations_size(), 2);
  EXPECT_EQ(evaluations.evaluations(0).result().accuracy(), 0.25);
  Context jobs_context;
  v1::ListTrainingJobsResponse jobs;
  ASSERT_TRUE(training_->ListTrainingJobs(&jobs_context, {}, &jobs).ok());
  ASSERT_EQ(jobs.jobs_size(), 2);
  EXPECT_EQ(jobs.jobs(1).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(jobs.jobs(1).version(), 1);
}

TEST_F(ArchiveServiceTest, ImportingTwiceChangesNothing) {
  const std::string bytes = Exported();
  ASSERT_TRUE(Import(bytes).ok());
  EXPECT_TRUE(imported_.existed());
  EXPECT_EQ(imported_.version().version(), 1);
  ASSERT_TRUE(Import(bytes, "copies").ok());
  EXPECT_FALSE(imported_.existed());
  EXPECT_EQ(imported_.version().task(), "copies");
  EXPECT_EQ(imported_.version().spec().task(), "copies");
  ASSERT_TRUE(Import(bytes, "copies").ok());
  EXPECT_TRUE(imported_.existed());
  EXPECT_EQ(imported_.version().version(), 1);
}

TEST_F(ArchiveServiceTest, WhatIsNotThereIsNotExported) {
  std::string bytes;
  EXPECT_EQ(Decode(Export("pets", 9, &bytes)).reason, "VERSION_NOT_FOUND");
  EXPECT_EQ(Decode(Export("birds", 1, &bytes)).reason, "TASK_NOT_FOUND");
}

TEST_F(ArchiveServiceTest, EveryChangedByteIsNoticed) {
  const std::string bytes = Exported();
  StartElsewhere();
  // A byte in each block: headers, members, padding and the end.
  for (size_t at = 0; at < bytes.size(); at += 509) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    const ErrorDetails refused = Decode(Import(changed));
    EXPECT_TRUE(refused.reason == "BAD_ARCHIVE" ||
                refused.reason == "ARCHIVE_CORRUPT")
        << at << ": " << refused.reason << " " << refused.message;
  }
  for (const size_t length : {size_t{0}, size_t{511}, size_t{512},
                              bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_EQ(Decode(Import(bytes.substr(0, length))).reason, "BAD_ARCHIVE")
        << length;
  }
  EXPECT_EQ(Decode(Import(bytes + "x")).reason, "BAD_ARCHIVE");
  Context context;
  v1::ListTasksResponse tasks;
  ASSERT_TRUE(prompts_->ListTasks(&context, {}, &tasks).ok());
  EXPECT_EQ(tasks.tasks_size(), 0);  // nothing was half-imported
}

// An archive whose index fits whatever its members are.
std::string Repacked(std::vector<TarMember> members) {
  nlohmann::json listed = nlohmann::json::array();
  for (size_t i = 1; i < members.size(); ++i) {
    listed.push_back({{"name", members[i].name},
                      {"bytes", members[i].bytes.size()},
                      {"sha256", Sha256Hex(members[i].bytes)}});
  }
  members[0].bytes =
      nlohmann::json({{"schema", "promptd.archive.1"}, {"members", listed}})
          .dump();
  return PackTar(members);
}

TEST_F(ArchiveServiceTest, MembersMustBeThoseOfTheManifest) {
  const std::vector<TarMember> members = *UnpackTar(Exported());
  ASSERT_EQ(members.size(), 5u);
  EXPECT_EQ(members[1].name, "manifest.json");
  ASSERT_TRUE(Import(Repacked(members)).ok());

  auto stranger = members;
  stranger.push_back({"../../etc/passwd", "x"});
  const ErrorDetails unknown = Decode(Import(Repacked(stranger)));
  EXPECT_EQ(unknown.reason, "BAD_ARCHIVE");
  EXPECT_TRUE(absl::StrContains(unknown.message, "unknown member"));

  auto other_context = members;
  other_context[2].bytes = "other";
  EXPECT_EQ(Decode(Import(Repacked(other_context))).reason, "ARCHIVE_CORRUPT");

  auto missing = members;
  missing.pop_back();
  EXPECT_EQ(Decode(Import(Repacked(missing))).reason, "BAD_ARCHIVE");

  auto twice = members;
  twice.push_back(members[1]);
  EXPECT_EQ(Decode(Import(Repacked(twice))).reason, "BAD_ARCHIVE");

  auto no_head = members;
  no_head[3].bytes = "no safetensors";
  EXPECT_EQ(Decode(Import(Repacked(no_head))).reason, "BAD_ARCHIVE");
}

TEST_F(ArchiveServiceTest, AnotherEncoderIsRefusedWithBothDigests) {
  std::vector<TarMember> members = *UnpackTar(Exported());
  nlohmann::json manifest = nlohmann::json::parse(members[1].bytes);
  const std::string other(64, '7');
  manifest["encoder_digest"] = other;
  manifest["spec"]["encoder_digest"] = other;
  members[1].bytes = manifest.dump();
  const ErrorDetails refused = Decode(Import(Repacked(members)));
  EXPECT_EQ(refused.code, grpc::FAILED_PRECONDITION);
  EXPECT_EQ(refused.reason, "ENCODER_NOT_HELD");
  EXPECT_TRUE(absl::StrContains(refused.message, other));
  EXPECT_TRUE(absl::StrContains(refused.message, std::string(64, 'b')));
  manifest["spec"]["encoder_digest"] = std::string(64, 'b');
  members[1].bytes = manifest.dump();
  EXPECT_EQ(Decode(Import(Repacked(members))).reason, "BAD_ARCHIVE");
}

TEST_F(ArchiveServiceTest, ATaskOfOtherClassesTakesNoImport) {
  std::vector<TarMember> members = *UnpackTar(Exported());
  nlohmann::json manifest = nlohmann::json::parse(members[1].bytes);
  manifest["class_names"] = {"cat", "cow"};
  members[1].bytes = manifest.dump();
  EXPECT_EQ(Decode(Import(Repacked(members))).reason, "TASK_MISMATCH");
  EXPECT_EQ(Decode(Import(Repacked(members), "Bad Name")).reason,
            "INVALID_TASK_NAME");
  manifest["class_names"] = {"cat", "cow", "hen"};
  members[1].bytes = manifest.dump();
  EXPECT_EQ(Decode(Import(Repacked(members), "farm")).reason, "BAD_ARCHIVE");
}

TEST(PlainTarTest, WhatWasPackedIsUnpacked) {
  const std::vector<TarMember> members = {
      {"a", ""}, {"b/c.json", std::string(512, 'x')}, {"d", "short"}};
  const auto unpacked = UnpackTar(PackTar(members));
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  ASSERT_EQ(unpacked->size(), 3u);
  for (size_t i = 0; i < members.size(); ++i) {
    EXPECT_EQ((*unpacked)[i].name, members[i].name);
    EXPECT_EQ((*unpacked)[i].bytes, members[i].bytes);
  }
  EXPECT_TRUE(UnpackTar(PackTar({}))->empty());
  EXPECT_EQ(PackTar(members).size() % 512, 0u);
}

}  // namespace
}  // namespace promptd::server
