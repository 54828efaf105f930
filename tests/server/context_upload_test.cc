#include "server/context_upload.h"

#include <limits>

#include "absl/strings/match.h"
#include "common/sha256.h"
#include "tests/server/server_fixture.h"
#include "tests/testing/filled_tensor.h"
#include "worker/tensor_blob.h"

namespace promptd::server {
namespace {

using testing::kFakeTextWidth;

// A context's file; the values do not matter.
std::string ContextBytes(std::vector<int64_t> shape, float value = 0.5f) {
  return *worker::SerializeTensor("ctx",
                                  testing::Filled(std::move(shape), value));
}

class ContextUploadTest : public ServerFixture {
 protected:
  grpc::Status Send(const std::string& bytes, v1::UploadContextResponse* reply,
                    size_t chunk_bytes = 1 << 20) {
    Context context;
    auto stream = training_->UploadContext(&context, reply);
    v1::UploadContextRequest message;
    for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
      message.set_chunk(bytes.substr(at, chunk_bytes));
      if (!stream->Write(message)) break;
    }
    stream->WritesDone();
    return stream->Finish();
  }

  std::string Stored(const std::string& bytes) {
    v1::UploadContextResponse reply;
    const grpc::Status status = Send(bytes, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply.digest();
  }

  std::string Violation(const v1::CreateTrainingJobRequest& request,
                        const std::string& field) {
    Context context;
    v1::TrainingJob job;
    const grpc::Status status =
        training_->CreateTrainingJob(&context, request, &job);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
    return Decode(status).Field("spec." + field);
  }

  // Applies the stored context to the classes of "pets".
  v1::CreateTrainingJobRequest Applying(const std::string& digest) const {
    v1::CreateTrainingJobRequest request;
    request.mutable_spec()->set_task("pets");
    request.mutable_spec()->set_dataset("pets");
    request.mutable_spec()->set_epochs(0);
    request.mutable_spec()->set_initial_context_digest(digest);
    return request;
  }

  // Applies it to classes without a dataset.
  v1::CreateTrainingJobRequest ApplyingToNames(
      const std::string& digest, const std::vector<std::string>& names) const {
    v1::CreateTrainingJobRequest request = Applying(digest);
    request.mutable_spec()->clear_dataset();
    for (const std::string& name : names) {
      request.mutable_spec()->add_class_names(name);
    }
    return request;
  }
};

TEST_F(ContextUploadTest, StoresTheBytesAndSaysTheShape) {
  const std::string bytes = ContextBytes({4, kFakeTextWidth});
  for (const size_t chunk : {size_t{1} << 20, size_t{7}}) {
    v1::UploadContextResponse reply;
    const grpc::Status status = Send(bytes, &reply, chunk);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(reply.digest(), Sha256Hex(bytes));
    ASSERT_EQ(reply.shape_size(), 2);
    EXPECT_EQ(reply.shape(0), 4);
    EXPECT_EQ(reply.shape(1), kFakeTextWidth);
  }
  EXPECT_EQ(server_->control()->GetBlob(Sha256Hex(bytes)).value(), bytes);
}

TEST_F(ContextUploadTest, RefusesWhatIsNoContext) {
  const auto reason = [&](const std::string& bytes) {
    v1::UploadContextResponse reply;
    return Decode(Send(bytes, &reply)).reason;
  };
  FloatTensor other;
  other.shape = {2, 2};
  other.values = {1, 2, 3, 4};
  EXPECT_EQ(reason(""), "BAD_CONTEXT");
  EXPECT_EQ(reason("not a tensor"), "BAD_CONTEXT");
  EXPECT_EQ(reason(*worker::SerializeTensor("weights", other)), "BAD_CONTEXT");
  EXPECT_EQ(reason(ContextBytes({kFakeTextWidth})), "BAD_CONTEXT");
  EXPECT_EQ(reason(ContextBytes({1, 2, 3, kFakeTextWidth})), "BAD_CONTEXT");
  EXPECT_EQ(reason(ContextBytes({2, kFakeTextWidth},
                                std::numeric_limits<float>::infinity())),
            "BAD_CONTEXT");
  std::string half = ContextBytes({2, kFakeTextWidth});
  half[half.find("F32") + 1] = '6';  // says F62
  EXPECT_EQ(reason(half), "BAD_CONTEXT");
  std::string cut = ContextBytes({2, kFakeTextWidth});
  cut.pop_back();
  EXPECT_EQ(reason(cut), "BAD_CONTEXT");
}

TEST_F(ContextUploadTest, IsBounded) {
  ServerOptions options = DefaultOptions();
  options.limits.max_context_bytes = 1 << 20;
  options.limits.max_context_uploads = 2;
  StartServer(options);
  v1::UploadContextResponse reply;
  const std::string large((1 << 20) + (64 << 10) + 1, 'x');
  EXPECT_EQ(Decode(Send(large, &reply)).reason, "CONTEXT_TOO_LARGE");
  EXPECT_NE(Decode(Send(large, &reply, large.size())).Field("chunk"), "");

  // Two idle uploads take the room; one that goes away gives it back.
  const std::string good = ContextBytes({4, kFakeTextWidth});
  const auto open = [&](Context* context, v1::UploadContextResponse* out) {
    auto stream = training_->UploadContext(context, out);
    v1::UploadContextRequest message;
    message.set_chunk(good.substr(0, 3));
    stream->Write(message);
    stream->WaitForInitialMetadata();  // until it is let in
    return stream;
  };
  Context contexts[2];
  v1::UploadContextResponse replies[2];
  auto first = open(&contexts[0], &replies[0]);
  auto second = open(&contexts[1], &replies[1]);
  EXPECT_EQ(Decode(Send(good, &reply)).reason, "TOO_MANY_UPLOADS");
  contexts[0].TryCancel();
  EXPECT_EQ(first->Finish().error_code(), grpc::CANCELLED);
  const absl::Time until = absl::Now() + absl::Seconds(20);
  grpc::Status again(grpc::UNKNOWN, "");
  while (!again.ok() && absl::Now() < until) again = Send(good, &reply);
  EXPECT_TRUE(again.ok()) << again.error_message();
  second->WritesDone();
  EXPECT_EQ(Decode(second->Finish()).reason, "BAD_CONTEXT");
}

TEST_F(ContextUploadTest, AppliesToADatasetsClasses) {
  PushPets();
  const std::string digest = Stored(ContextBytes({4, kFakeTextWidth}));
  v1::CreateTrainingJobRequest request = Applying(digest);
  request.mutable_spec()->set_class_position(v1::CLASS_POSITION_MIDDLE);
  const v1::TrainingSpec spec = CreateJob(request).spec();
  EXPECT_EQ(spec.epochs(), 0);
  EXPECT_TRUE(spec.has_epochs());
  EXPECT_EQ(spec.shots(), 0);
  EXPECT_EQ(spec.warmup_epochs(), 0);
  EXPECT_EQ(spec.context_tokens(), 4);
  EXPECT_FALSE(spec.class_specific());
  EXPECT_EQ(spec.class_position(), v1::CLASS_POSITION_MIDDLE);
  EXPECT_EQ(spec.initial_context_digest(), digest);
  const worker::LeasedJob job = Lease();
  EXPECT_EQ(job.spec.epochs, 0);
  EXPECT_EQ(Publish(job), 1);
}

TEST_F(ContextUploadTest, AppliesToADatasetWithoutTrainingImages) {
  PushDataset("pets", {"cat", "dog"},
              {{0, v1::SPLIT_TEST, 1}, {1, v1::SPLIT_TEST, 1}});
  CreateJob(Applying(Stored(ContextBytes({4, kFakeTextWidth}))));
}

TEST_F(ContextUploadTest, AppliesToAListOfClassesWithoutImages) {
  const std::string digest = Stored(ContextBytes({2, 4, kFakeTextWidth}));
  const v1::TrainingJob created =
      CreateJob(ApplyingToNames(digest, {"owl", "tit"}));
  EXPECT_EQ(created.spec().class_names_size(), 2);
  EXPECT_TRUE(created.spec().class_specific());
  EXPECT_EQ(created.spec().dataset(), "");
  EXPECT_EQ(Publish(Lease()), 1);

  // Whatever reads jobs and versions copes without an evaluation.
  Context contexts[5];
  v1::TrainingJob job;
  v1::GetTrainingJobRequest get;
  get.set_id(created.id());
  ASSERT_TRUE(training_->GetTrainingJob(&contexts[0], get, &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_FALSE(job.has_result());
  EXPECT_EQ(job.version(), 1);
  v1::GetVersionRequest get_version;
  get_version.set_task("pets");
  v1::PromptVersion version;
  ASSERT_TRUE(prompts_->GetVersion(&contexts[1], get_version, &version).ok());
  EXPECT_FALSE(version.has_evaluation());
  EXPECT_EQ(version.dataset(), "");
  EXPECT_EQ(version.spec().class_names(1), "tit");
  v1::ListVersionsRequest list;
  list.set_task("pets");
  v1::ListVersionsResponse versions;
  ASSERT_TRUE(prompts_->ListVersions(&contexts[2], list, &versions).ok());
  EXPECT_EQ(versions.versions_size(), 1);
  v1::ExportVersionRequest export_version;
  export_version.set_task("pets");
  export_version.set_version(1);
  v1::ExportVersionResponse exported;
  ASSERT_TRUE(
      prompts_->ExportVersion(&contexts[3], export_version, &exported).ok());
  EXPECT_TRUE(absl::StrContains(exported.manifest_json(), "\"owl\""));
  // No dataset is in use.
  PushPets();
  v1::DeleteDatasetRequest drop;
  drop.set_name("pets");
  v1::DeleteDatasetResponse dropped;
  EXPECT_TRUE(datasets_->DeleteDataset(&contexts[4], drop, &dropped).ok());
}

TEST_F(ContextUploadTest, AnUploadedContextCanStartATraining) {
  PushPets();
  v1::CreateTrainingJobRequest request = PetsJob();
  request.mutable_spec()->set_initial_context_digest(
      Stored(ContextBytes({5, kFakeTextWidth})));
  const v1::TrainingSpec spec = CreateJob(request).spec();
  EXPECT_EQ(spec.context_tokens(), 5);
  EXPECT_GT(spec.epochs(), 0);
  EXPECT_GT(spec.shots(), 0);
}

TEST_F(ContextUploadTest, SaysWhyAContextDoesNotFit) {
  PushPets();
  const auto why = [&](const std::string& digest) {
    return Violation(Applying(digest), "initial_context_digest");
  };
  EXPECT_TRUE(absl::StrContains(why(std::string(64, '0')), "UploadContext"));
  EXPECT_TRUE(absl::StrContains(why("../../etc/passwd"), "UploadContext"));
  const std::string image = server_->control()->PutBlob("an image").value();
  EXPECT_TRUE(absl::StrContains(why(image), "is no context"));
  EXPECT_TRUE(absl::StrContains(why(Stored(ContextBytes({4, 512}))),
                                "width 512, encoder \"small\" has 16"));
  EXPECT_TRUE(absl::StrContains(why(Stored(ContextBytes({65, kFakeTextWidth}))),
                                "65 tokens"));
  EXPECT_TRUE(
      absl::StrContains(why(Stored(ContextBytes({3, 4, kFakeTextWidth}))),
                        "of 3 classes, this job has 2"));
  v1::CreateTrainingJobRequest request =
      Applying(Stored(ContextBytes({4, kFakeTextWidth})));
  request.mutable_spec()->set_context_tokens(5);
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_context_digest"),
                                "4 tokens"));
  request = Applying(Stored(ContextBytes({4, kFakeTextWidth})));
  request.mutable_spec()->set_class_specific(true);
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_context_digest"),
                                "all classes share"));
}

TEST_F(ContextUploadTest, SaysWhatIsMissingToApply) {
  PushPets();
  const std::string digest = Stored(ContextBytes({4, kFakeTextWidth}));
  v1::CreateTrainingJobRequest request = Applying("");
  request.mutable_spec()->set_shots(4);
  EXPECT_NE(Violation(request, "epochs"), "");
  EXPECT_NE(Violation(request, "shots"), "");
  EXPECT_NE(Violation(ApplyingToNames(digest, {}), "dataset"), "");
  request = ApplyingToNames(digest, {"a", "b"});
  request.mutable_spec()->set_dataset("pets");
  EXPECT_NE(Violation(request, "class_names"), "");
  request = ApplyingToNames(digest, {"a", "b"});
  request.mutable_spec()->set_epochs(5);
  EXPECT_NE(Violation(request, "class_names"), "");
  request = ApplyingToNames(digest, {"a", "b"});
  request.mutable_spec()->set_class_subset(v1::CLASS_SUBSET_BASE);
  EXPECT_NE(Violation(request, "class_subset"), "");
  // The rules of manifests.
  request = ApplyingToNames(digest, {"Owl", "", "owl", "tit\n"});
  EXPECT_NE(Violation(request, "class_names[1]"), "");
  EXPECT_NE(Violation(request, "class_names[2]"), "");
  EXPECT_NE(Violation(request, "class_names[3]"), "");
}

// A shared context goes with other classes; a class-specific one does not.
TEST_F(ContextUploadTest, AVersionAppliesToOtherClasses) {
  PushPets();
  TrainOnce();
  v1::CreateTrainingJobRequest request = ApplyingToNames("", {"owl", "tit"});
  request.mutable_spec()->set_task("birds");
  request.mutable_spec()->mutable_initial_version()->set_task("pets");
  const v1::TrainingSpec spec = CreateJob(request).spec();
  EXPECT_EQ(spec.initial_version().version(), 1);
  Publish(Lease());

  v1::CreateTrainingJobRequest own = PetsJob();
  own.mutable_spec()->set_class_specific(true);
  own.mutable_spec()->set_task("own");
  CreateJob(own);
  Publish(Lease());
  request.mutable_spec()->mutable_initial_version()->set_task("own");
  EXPECT_TRUE(absl::StrContains(Violation(request, "initial_version"),
                                "belongs to its own 2 classes"));
  // In their order they are its own; what it is need not be said again.
  v1::CreateTrainingJobRequest same = ApplyingToNames("", {"cat", "dog"});
  same.mutable_spec()->mutable_initial_version()->set_task("own");
  EXPECT_TRUE(CreateJob(same).spec().class_specific());
  same.mutable_spec()->mutable_class_names()->SwapElements(0, 1);
  EXPECT_NE(Violation(same, "initial_version"), "");
}

}  // namespace
}  // namespace promptd::server
