// Loads a server of images and measures it: load_generator --help.
#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/load/image_source.h"
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/request_maker.h"
#include "bench/load/run_load.h"
#include "bench/load/run_streams.h"
#include "common/process.h"
#include "common/scheduling.h"
#include "inference/inference.grpc.pb.h"
#include "promptd/v1/classify.grpc.pb.h"

namespace promptd::load {
namespace {

constexpr std::chrono::seconds kConnectTimeout(10);

using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

absl::StatusOr<Channels> Connect(const Options& options) {
  Channels channels;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // A connection each.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  for (int i = 0; i < options.channels; ++i) {
    channels.push_back(grpc::CreateCustomChannel(
        options.target, grpc::InsecureChannelCredentials(), arguments));
    if (!channels.back()->WaitForConnected(std::chrono::system_clock::now() +
                                           kConnectTimeout)) {
      return absl::UnavailableError(absl::StrCat(
          "cannot reach ", options.target, " within ", kConnectTimeout.count(),
          " seconds: is the server running, and is this its "
          "gRPC port?"));
    }
  }
  return channels;
}

// The input of the model that takes what is sent, with its shape for a
// request.
absl::StatusOr<ModelInput> AskForInput(
    const Options& options, const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kConnectTimeout);
  inference::ModelMetadataRequest request;
  request.set_name(options.request.name);
  if (options.request.versions.has_value()) {
    request.set_version(absl::StrCat(options.request.versions->first));
  }
  inference::ModelMetadataResponse metadata;
  const grpc::Status status =
      inference::GRPCInferenceService::NewStub(channel)->ModelMetadata(
          &context, request, &metadata);
  if (!status.ok()) {
    return absl::NotFoundError(absl::StrCat("metadata of model ",
                                            options.request.name, ": ",
                                            status.error_message()));
  }
  const std::string datatype = options.images.pixels ? "FP32" : "BYTES";
  const std::string& wanted = options.request.input;
  for (const auto& input : metadata.inputs()) {
    if (input.datatype() != datatype || input.shape().empty()) continue;
    if (!wanted.empty() && input.name() != wanted) continue;
    ModelInput found{input.name(), datatype, {}};
    for (const int64_t side : input.shape()) {
      found.shape.push_back(side < 0 ? 1 : side);
    }
    found.shape[0] = options.request.images_per_request;
    return found;
  }
  return absl::InvalidArgumentError(absl::StrCat("model ", options.request.name,
                                                 " has no input ", wanted,
                                                 " of type ", datatype));
}

absl::StatusOr<RequestMaker> MakeRequests(
    const Options& options, const std::shared_ptr<grpc::Channel>& channel) {
  ModelInput input;
  if (IsInfer(options.request.api)) {
    absl::StatusOr<ModelInput> asked = AskForInput(options, channel);
    if (!asked.ok()) return asked.status();
    input = *std::move(asked);
  }
  if (!options.images.pixels) {
    absl::StatusOr<ImageSource> images =
        ImageSource::OfFiles(options.images, options.seed);
    if (!images.ok()) return images.status();
    return RequestMaker(options.request, std::move(input), *std::move(images),
                        options.seed);
  }
  int64_t numbers = 1;
  for (size_t i = 1; i < input.shape.size(); ++i) numbers *= input.shape[i];
  return RequestMaker(
      options.request, std::move(input),
      ImageSource::OfPixels(options.images, numbers, options.seed),
      options.seed);
}

// Sends each image once, with its bytes.
absl::Status SendOnce(const Options& options,
                      const std::shared_ptr<grpc::Channel>& channel) {
  Options plain = options;
  plain.images.by_digest = false;
  plain.request.api = Api::kClassify;
  plain.request.images_per_request = 1;
  absl::StatusOr<ImageSource> images =
      ImageSource::OfFiles(plain.images, plain.seed);
  if (!images.ok()) return images.status();
  const int count = images->count();
  RequestMaker requests(plain.request, {}, *std::move(images), plain.seed);
  const auto stub = v1::ClassifyService::NewStub(channel);
  for (int i = 0; i < count; ++i) {
    grpc::ClientContext context;
    requests.NameTenant(&context);
    grpc::ByteBuffer bytes = requests.Next();
    v1::ClassifyRequest request;
    v1::ClassifyResponse response;
    grpc::Status status =
        grpc::SerializationTraits<v1::ClassifyRequest>::Deserialize(&bytes,
                                                                    &request);
    if (status.ok()) status = stub->Classify(&context, request, &response);
    if (!status.ok()) {
      return absl::UnavailableError(absl::StrCat(
          "image ", i, " was not answered: ", status.error_message()));
    }
  }
  return absl::OkStatus();
}

// Lets the images lie in memory that the server reads.
absl::Status ShareMemory(const Options& options,
                         const std::shared_ptr<grpc::Channel>& channel,
                         RequestMaker* requests) {
  const int under_way = options.pace.rate > 0 ? options.pace.max_outstanding
                                              : options.pace.concurrency;
  // A slot is written again long after its request was answered.
  const absl::Status shared = requests->ShareMemory(2 * under_way);
  if (!shared.ok()) return shared;
  inference::SystemSharedMemoryRegisterRequest request;
  request.set_name(requests->shared()->key());
  request.set_key(requests->shared()->key());
  request.set_byte_size(requests->shared()->bytes());
  inference::SystemSharedMemoryRegisterResponse response;
  grpc::ClientContext context;
  requests->NameTenant(&context);
  const grpc::Status status =
      inference::GRPCInferenceService::NewStub(channel)
          ->SystemSharedMemoryRegister(&context, request, &response);
  if (status.ok()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("shared memory: ", status.error_message()));
}

void UnshareMemory(const std::shared_ptr<grpc::Channel>& channel,
                   const RequestMaker& requests) {
  if (requests.shared() == nullptr) return;
  inference::SystemSharedMemoryUnregisterRequest request;
  request.set_name(requests.shared()->key());
  inference::SystemSharedMemoryUnregisterResponse response;
  grpc::ClientContext context;
  requests.NameTenant(&context);
  inference::GRPCInferenceService::NewStub(channel)
      ->SystemSharedMemoryUnregister(&context, request, &response);
}

LoadResult Run(const Options& options, const Channels& channels,
               RequestMaker* requests) {
  if (IsStream(options.request.api)) {
    return RunStreams(options.pace, channels, requests);
  }
  return RunLoad(options.pace, options.seed, channels, requests);
}

int Main(int argc, char** argv) {
  const ParsedOptions parsed = ParseOptions(argc, argv);
  if (parsed.exit_code.has_value()) return *parsed.exit_code;
  const Options& options = parsed.options;
  UsePlainMutexes();
  // It is the clock: what it measures must not be its own waiting for a core.
  AnswerPromptly();
  const auto fail = [](const absl::Status& status) {
    std::cerr << "load_generator: " << status.message() << "\n";
    return 2;
  };
  const absl::StatusOr<Channels> channels = Connect(options);
  if (!channels.ok()) return fail(channels.status());
  absl::StatusOr<RequestMaker> requests =
      MakeRequests(options, channels->front());
  if (!requests.ok()) return fail(requests.status());
  if (options.images.by_digest) {
    const absl::Status sent = SendOnce(options, channels->front());
    if (!sent.ok()) return fail(sent);
  }
  if (options.request.shared_memory) {
    const absl::Status shared =
        ShareMemory(options, channels->front(), &*requests);
    if (!shared.ok()) return fail(shared);
  }
  const LoadResult result = Run(options, *channels, &*requests);
  UnshareMemory(channels->front(), *requests);
  std::cerr << ReadableReport(options, result) << "\n";
  std::cout << JsonReport(options, result) << std::endl;
  return result.ok > 0 ? 0 : 1;
}

}  // namespace
}  // namespace promptd::load

int main(int argc, char** argv) { return promptd::load::Main(argc, argv); }
