#include "server/inference_service.h"

#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/infer_tensors.h"
#include "server/item_stream.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

using inference::ModelInferRequest;
using inference::ModelInferResponse;

std::string Packed(const std::vector<std::string>& values) {
  ModelInferResponse reply;
  AddBytesOutput("", {}, values, &reply);
  return reply.raw_output_contents(0);
}

void AddInput(const std::string& name, const std::string& datatype,
              const std::vector<int64_t>& shape, const std::string& raw,
              ModelInferRequest* request) {
  auto* input = request->add_inputs();
  input->set_name(name);
  input->set_datatype(datatype);
  input->mutable_shape()->Add(shape.begin(), shape.end());
  request->add_raw_input_contents(raw);
}

ModelInferRequest ImageRequest(const std::string& model,
                               const std::vector<std::string>& images) {
  ModelInferRequest request;
  request.set_model_name(model);
  request.set_id("r1");
  AddInput("IMAGE", "BYTES", {static_cast<int64_t>(images.size()), 1},
           Packed(images), &request);
  return request;
}

std::vector<std::string> Unpacked(const ModelInferResponse& reply, int output) {
  ModelInferRequest request;
  AddInput("X", "BYTES",
           {reply.outputs(output).shape().begin(),
            reply.outputs(output).shape().end()},
           reply.raw_output_contents(output), &request);
  std::vector<FieldViolation> violations;
  const auto inputs = FindInputs(request, &violations);
  const auto bytes = BytesOf(inputs.at(0), 1000, &violations);
  return {bytes.begin(), bytes.end()};
}

class InferenceServiceTest : public ServerFixture {
 protected:
  InferenceServiceTest()
      : inference_(inference::GRPCInferenceService::NewStub(channel_)) {}

  grpc::Status Infer(const ModelInferRequest& request,
                     ModelInferResponse* reply) {
    Context context;
    return inference_->ModelInfer(&context, request, reply);
  }
  bool Ready(const std::string& name, const std::string& version) {
    inference::ModelReadyRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelReadyResponse reply;
    Context context;
    EXPECT_TRUE(inference_->ModelReady(&context, request, &reply).ok());
    return reply.ready();
  }
  inference::ModelMetadataResponse Metadata(const std::string& name) {
    inference::ModelMetadataRequest request;
    request.set_name(name);
    inference::ModelMetadataResponse reply;
    Context context;
    EXPECT_TRUE(inference_->ModelMetadata(&context, request, &reply).ok());
    return reply;
  }
  inference::ModelStatisticsResponse Statistics(const std::string& name) {
    inference::ModelStatisticsRequest request;
    request.set_name(name);
    inference::ModelStatisticsResponse reply;
    Context context;
    EXPECT_TRUE(inference_->ModelStatistics(&context, request, &reply).ok());
    return reply;
  }

  std::unique_ptr<inference::GRPCInferenceService::Stub> inference_;
};

TEST_F(InferenceServiceTest, NoOutputIsAskedForMoreOftenThanThereAreOutputs) {
  PushPets();
  TrainOnce();
  ModelInferRequest request = ImageRequest("pets", {Png(1)});
  for (int i = 0; i < 3; ++i) request.add_outputs()->set_name("PROBABILITY");
  ModelInferResponse reply;
  EXPECT_TRUE(Infer(request, &reply).ok());
  request.add_outputs()->set_name("PROBABILITY");
  const ErrorDetails error = Decode(Infer(request, &reply));
  EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
  EXPECT_TRUE(absl::StrContains(error.Field("outputs"), "has 4 tensors"));
}

TEST_F(InferenceServiceTest, ServerTellsAboutItself) {
  Context live_context, ready_context, metadata_context;
  inference::ServerLiveResponse live;
  ASSERT_TRUE(inference_->ServerLive(&live_context, {}, &live).ok());
  EXPECT_TRUE(live.live());
  executor_.SetReady(false);
  inference::ServerReadyResponse ready;
  ASSERT_TRUE(inference_->ServerReady(&ready_context, {}, &ready).ok());
  EXPECT_FALSE(ready.ready());
  inference::ServerMetadataResponse metadata;
  ASSERT_TRUE(
      inference_->ServerMetadata(&metadata_context, {}, &metadata).ok());
  EXPECT_EQ(metadata.name(), "promptd");
  const std::set<std::string> extensions(metadata.extensions().begin(),
                                         metadata.extensions().end());
  EXPECT_TRUE(extensions.contains("statistics"));
}

TEST_F(InferenceServiceTest, ATaskIsAModel) {
  PushPets();
  TrainOnce();
  TrainOnce();
  EXPECT_TRUE(Ready("pets", ""));
  EXPECT_TRUE(Ready("pets", "2"));
  EXPECT_FALSE(Ready("pets", "3"));
  EXPECT_FALSE(Ready("birds", ""));
  const auto metadata = Metadata("pets@latest");
  EXPECT_EQ(metadata.versions(0), "2");
  EXPECT_EQ(metadata.properties().at("class_names"), "cat\ndog");
  ASSERT_EQ(metadata.inputs_size(), 2);
  EXPECT_EQ(metadata.inputs(1).shape_size(), 4);
  EXPECT_EQ(metadata.inputs(1).shape(0), -1);
  EXPECT_EQ(metadata.inputs(1).shape(2), 32);

  // Every tensor of the configuration is in the metadata, without its batch.
  inference::ModelConfigRequest asked;
  asked.set_name("pets");
  inference::ModelConfigResponse config;
  Context context;
  ASSERT_TRUE(inference_->ModelConfig(&context, asked, &config).ok());
  EXPECT_EQ(config.config().max_batch_size(), 64);
  ASSERT_EQ(config.config().output_size(), metadata.outputs_size());
  for (int i = 0; i < config.config().output_size(); ++i) {
    EXPECT_EQ(config.config().output(i).name(), metadata.outputs(i).name());
    EXPECT_EQ(config.config().output(i).dims_size() + 1,
              metadata.outputs(i).shape_size());
  }
  Context index_context;
  inference::RepositoryIndexResponse index;
  ASSERT_TRUE(inference_->RepositoryIndex(&index_context, {}, &index).ok());
  std::set<std::string> models;
  for (const auto& model : index.models()) {
    models.insert(absl::StrCat(model.name(), ":", model.version()));
    EXPECT_EQ(model.state(), "READY");
  }
  EXPECT_TRUE(models.contains("pets:1"));
  EXPECT_TRUE(models.contains("pets:2"));
  EXPECT_TRUE(models.contains("_image_encoder:1"));
}

TEST_F(InferenceServiceTest, ImagesAreClassified) {
  PushPets();
  TrainOnce();
  ModelInferResponse reply;
  const grpc::Status status =
      Infer(ImageRequest("pets", {Png(1), Png(2), Png(3)}), &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.id(), "r1");
  EXPECT_EQ(reply.model_version(), "1");
  ASSERT_EQ(reply.outputs_size(), 3);
  ASSERT_EQ(reply.raw_output_contents_size(), 3);
  EXPECT_EQ(reply.outputs(0).name(), "PROBABILITY");
  EXPECT_EQ(reply.outputs(0).shape(0), 3);
  EXPECT_EQ(reply.outputs(0).shape(1), 2);
  EXPECT_EQ(reply.raw_output_contents(0).size(), 3u * 2 * 4);
  EXPECT_EQ(Unpacked(reply, 2),
            (std::vector<std::string>{"cat", "cat", "cat"}));
  const auto statistics = Statistics("pets");
  ASSERT_EQ(statistics.model_stats_size(), 1);
  const auto& stats = statistics.model_stats(0);
  EXPECT_EQ(stats.version(), "1");
  EXPECT_EQ(stats.inference_count(), 3u);
  EXPECT_EQ(stats.inference_stats().success().count(), 1u);
  EXPECT_EQ(stats.inference_stats().queue().count(), 1u);
  EXPECT_EQ(stats.inference_stats().compute_infer().ns(), 3'000'000u);
}

TEST_F(InferenceServiceTest, ClassificationRanksClassesAsText) {
  PushPets();
  TrainOnce();
  ModelInferRequest request = ImageRequest("pets", {Png(1)});
  auto* output = request.add_outputs();
  output->set_name("PROBABILITY");
  (*output->mutable_parameters())["classification"].set_int64_param(5);
  ModelInferResponse reply;
  ASSERT_TRUE(Infer(request, &reply).ok());
  ASSERT_EQ(reply.outputs_size(), 1);
  EXPECT_EQ(reply.outputs(0).datatype(), "BYTES");
  EXPECT_EQ(Unpacked(reply, 0),
            (std::vector<std::string>{"0.5:0:cat", "0.333333:1:dog"}));
}

TEST_F(InferenceServiceTest, EncodersAndZeroShotAreModels) {
  ModelInferResponse reply;
  ASSERT_TRUE(
      Infer(ImageRequest("_image_encoder@large", {Png(1)}), &reply).ok());
  EXPECT_EQ(reply.outputs(0).name(), "EMBEDDING");
  EXPECT_EQ(executor_.last_call().encoder_digest, std::string(64, 'a'));
  EXPECT_TRUE(executor_.last_call().embed);

  ModelInferRequest pixels;
  pixels.set_model_name("_pixel_encoder");
  const std::vector<std::vector<float>> rows = {
      std::vector<float>(size_t{3} * 32 * 32, 0.5f),
      std::vector<float>(size_t{3} * 32 * 32, -2.0f)};
  std::string raw;
  for (const std::vector<float>& row : rows) {
    raw.append(reinterpret_cast<const char*>(row.data()),
               row.size() * sizeof(float));
  }
  AddInput("PIXELS", "FP32", {2, 3, 32, 32}, raw, &pixels);
  ASSERT_TRUE(Infer(pixels, &reply).ok());
  EXPECT_EQ(executor_.last_pixels(), rows);
  pixels.clear_raw_input_contents();
  for (const std::vector<float>& row : rows) {
    pixels.mutable_inputs(0)->mutable_contents()->mutable_fp32_contents()->Add(
        row.begin(), row.end());
  }
  ASSERT_TRUE(Infer(pixels, &reply).ok());
  EXPECT_EQ(executor_.last_pixels(), rows);

  ModelInferRequest texts;
  texts.set_model_name("_text_encoder");
  AddInput("TEXT", "BYTES", {2, 1}, Packed({"a cat", "a dog"}), &texts);
  ASSERT_TRUE(Infer(texts, &reply).ok());
  EXPECT_EQ(reply.outputs(0).shape(0), 2);

  ModelInferRequest zero_shot;
  zero_shot.set_model_name("_zero_shot");
  AddInput("IMAGE", "BYTES", {1}, Packed({Png(1)}), &zero_shot);
  AddInput("LABELS", "BYTES", {2}, Packed({"cat", "dog"}), &zero_shot);
  AddInput("TEMPLATE", "BYTES", {1}, Packed({"my {}."}), &zero_shot);
  ASSERT_TRUE(Infer(zero_shot, &reply).ok());
  EXPECT_EQ(executor_.last_call().heads.at(0).text.texts,
            (std::vector<std::string>{"my cat.", "my dog."}));
}

TEST_F(InferenceServiceTest, DamagedBytesNameTheVersion) {
  PushPets();
  TrainOnce();
  executor_.FailHead(0, MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                                  "the stored blob is damaged"));
  ModelInferResponse reply;
  const ErrorDetails damaged =
      Decode(Infer(ImageRequest("pets@production", {Png(1)}), &reply));
  EXPECT_EQ(damaged.code, grpc::DATA_LOSS);
  EXPECT_EQ(damaged.message,
            "version pets:1 cannot be served: the stored blob is damaged");
}

TEST_F(InferenceServiceTest, BadRequestsNameEveryProblem) {
  PushPets();
  TrainOnce();
  ModelInferResponse reply;
  const auto refused = [&](const ModelInferRequest& request) {
    const ErrorDetails error = Decode(Infer(request, &reply));
    EXPECT_EQ(error.code, grpc::INVALID_ARGUMENT);
    EXPECT_EQ(error.reason, "INVALID_INFER_REQUEST");
    return error.message;
  };
  ModelInferRequest request;
  request.set_model_name("pets");
  EXPECT_TRUE(absl::StrContains(refused(request), "one of IMAGE and PIXELS"));
  AddInput("PICTURE", "BYTES", {1, 1}, Packed({Png(1)}), &request);
  EXPECT_TRUE(absl::StrContains(refused(request), "IMAGE, PIXELS"));
  request = ImageRequest("pets", std::vector<std::string>(65, Png(1)));
  EXPECT_TRUE(absl::StrContains(refused(request), "1 to 64"));
  request = ImageRequest("pets", {Png(1)});
  request.set_raw_input_contents(0, "abcdefgh");
  EXPECT_TRUE(absl::StrContains(refused(request), "length before it"));
  request = ImageRequest("pets", {Png(1)});
  request.add_outputs()->set_name("LOGITS");
  EXPECT_TRUE(absl::StrContains(refused(request), "PROBABILITY"));
  request = ImageRequest("pets", {Png(1)});
  (*request.mutable_parameters())["sequence_start"].set_bool_param(true);
  EXPECT_TRUE(absl::StrContains(refused(request), "state"));
  request = ImageRequest("pets", {Png(1)});
  request.set_model_version("production");
  EXPECT_TRUE(absl::StrContains(refused(request), "pets@production"));
  ModelInferRequest pixels;
  pixels.set_model_name("pets");
  AddInput("PIXELS", "FP32", {1, 3, 31, 32}, "", &pixels);
  EXPECT_TRUE(absl::StrContains(refused(pixels), "[rows, 3, 32, 32]"));

  request = ImageRequest("pets", {Png(1), "garbage"});
  const ErrorDetails bad_image = Decode(Infer(request, &reply));
  EXPECT_EQ(bad_image.reason, "IMAGE_UNKNOWN_FORMAT");
  EXPECT_TRUE(absl::StrContains(bad_image.message, "row 1"));
  EXPECT_EQ(Decode(Infer(ImageRequest("birds", {Png(1)}), &reply)).reason,
            "TASK_NOT_FOUND");
  EXPECT_EQ(Decode(Infer(ImageRequest("_ocr", {Png(1)}), &reply)).reason,
            "MODEL_NOT_FOUND");
  const auto statistics = Statistics("pets");
  ASSERT_EQ(statistics.model_stats_size(), 1);
  EXPECT_GE(statistics.model_stats(0).inference_stats().fail().count(), 8u);
}

TEST_F(InferenceServiceTest, TheTimeoutParameterIsTheDeadline) {
  PushPets();
  TrainOnce();
  ModelInferRequest request = ImageRequest("pets", {Png(1)});
  (*request.mutable_parameters())["timeout"].set_int64_param(2'000'000);
  (*request.mutable_parameters())["priority"].set_uint64_param(1);
  (*request.mutable_parameters())["triton_enable_empty_final_response"]
      .set_bool_param(false);
  const absl::Time before = absl::Now();
  ModelInferResponse reply;
  ASSERT_TRUE(Infer(request, &reply).ok());
  const absl::Time deadline = executor_.last_call().deadline;
  EXPECT_GE(deadline, before + absl::Seconds(2));
  EXPECT_LE(deadline, absl::Now() + absl::Seconds(2));
}

using Stream = grpc::ClientReaderWriter<ModelInferRequest,
                                        inference::ModelStreamInferResponse>;

TEST_F(InferenceServiceTest, AStreamAnswersEachRequest) {
  PushPets();
  TrainOnce();
  Context context;
  std::unique_ptr<Stream> stream = inference_->ModelStreamInfer(&context);
  constexpr int kRequests = 3 * StreamBounds().items;
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) {
      ModelInferRequest request =
          ImageRequest(i % 10 == 9 ? "birds" : "pets", {Png(i)});
      request.set_id(absl::StrCat(i));
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  std::set<std::string> answered;
  int errors = 0;
  inference::ModelStreamInferResponse response;
  while (stream->Read(&response)) {
    answered.insert(response.infer_response().id());
    if (response.error_message().empty()) {
      EXPECT_EQ(response.infer_response().outputs_size(), 3);
    } else {
      EXPECT_TRUE(absl::StrContains(response.error_message(), "birds"));
      ++errors;
    }
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answered.size(), static_cast<size_t>(kRequests));
  EXPECT_EQ(errors, kRequests / 10);
}

TEST_F(InferenceServiceTest, AnErrorEndsTheStreamThatAsksForIt) {
  Context context;
  context.AddMetadata("triton_grpc_error", "true");
  std::unique_ptr<Stream> stream = inference_->ModelStreamInfer(&context);
  stream->Write(ImageRequest("birds", {Png(1)}));
  inference::ModelStreamInferResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(Decode(stream->Finish()).reason, "TASK_NOT_FOUND");
}

TEST_F(InferenceServiceTest, AStreamThatIsNotReadIsNotReadFrom) {
  PushPets();
  TrainOnce();
  executor_.HoldCalls();
  Context context;
  std::unique_ptr<Stream> stream = inference_->ModelStreamInfer(&context);
  for (int i = 0; i < 2 * StreamBounds().items; ++i) {
    stream->Write(ImageRequest("pets", {Png(i)}));
  }
  executor_.AwaitHeld(StreamBounds().items);
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_EQ(executor_.held(), static_cast<size_t>(StreamBounds().items));
  // A client that goes away leaves nothing waited for.
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);
  for (int i = 0; i < 500 && !executor_.AnyHeldCancelled(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(executor_.AnyHeldCancelled());
  executor_.ReleaseHeld();
}

TEST_F(InferenceServiceTest, AShutdownDoesNotWaitForOpenStreams) {
  Context context;
  std::unique_ptr<Stream> stream = inference_->ModelStreamInfer(&context);
  stream->Write(ImageRequest("birds", {Png(1)}));
  inference::ModelStreamInferResponse response;
  ASSERT_TRUE(stream->Read(&response));
  server_->Shutdown(absl::Now() + absl::Seconds(30));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(Decode(stream->Finish()).reason, "SHUTTING_DOWN");
}

}  // namespace
}  // namespace promptd::server
