#include "bench/load/request_maker.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "inference/inference.pb.h"
#include "promptd/v1/classify.pb.h"

namespace promptd::load {
namespace {

constexpr size_t kLengthBytes = 4;  // of a BYTES element

void AppendVarint(uint64_t value, std::string* out) {
  uint8_t bytes[10];
  const uint8_t* end =
      google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(value,
                                                                    bytes);
  out->append(reinterpret_cast<const char*>(bytes), end - bytes);
}

// The tag and the length of a field of bytes.
void AppendFieldStart(int field, size_t size, std::string* out) {
  constexpr int kLengthDelimited = 2;
  AppendVarint(static_cast<uint64_t>(field) << 3 | kLengthDelimited, out);
  AppendVarint(size, out);
}

// What stands before each element of a BYTES tensor.
std::string LittleEndian32(size_t value) {
  std::string bytes(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i)
    bytes[i] = static_cast<char>(value >> (8 * i));
  return bytes;
}

template <typename Message>
absl::StatusOr<Message> Parse(grpc::ByteBuffer reply) {
  Message message;
  const grpc::Status status =
      grpc::SerializationTraits<Message>::Deserialize(&reply, &message);
  if (status.ok()) return message;
  return absl::InternalError("the reply is no message of this API");
}

const char* MethodOf(Api api) {
  switch (api) {
    case Api::kClassify:
      return "/promptd.v1.ClassifyService/Classify";
    case Api::kStream:
      return "/promptd.v1.ClassifyService/ClassifyStream";
    case Api::kInfer:
      return "/inference.GRPCInferenceService/ModelInfer";
    case Api::kInferStream:
      return "/inference.GRPCInferenceService/ModelStreamInfer";
  }
  return "";
}

// Images without an error of their own.
int Answered(const v1::ClassifyResponse& response) {
  return static_cast<int>(std::count_if(
      response.results().begin(), response.results().end(),
      [](const auto& result) { return result.error_reason().empty(); }));
}

}  // namespace

RequestMaker::RequestMaker(const RequestOptions& options, ModelInput input,
                           ImageSource images, uint64_t seed)
    : options_(options),
      input_(std::move(input)),
      method_(MethodOf(options.api)),
      images_(std::move(images)),
      random_(seed) {}

void RequestMaker::NameTenant(grpc::ClientContext* context) const {
  if (options_.tenant.empty()) return;
  context->AddMetadata("x-promptd-tenant", options_.tenant);
}

int64_t RequestMaker::NextVersion() {
  if (!options_.versions.has_value()) return 0;
  return std::uniform_int_distribution<int64_t>(
      options_.versions->first, options_.versions->last)(random_);
}

std::string RequestMaker::ClassifyEnvelope() {
  v1::ClassifyRequest request;
  request.set_task(options_.name);
  const int64_t version = NextVersion();
  if (version > 0) request.set_version(version);
  if (!options_.alias.empty()) request.set_alias(options_.alias);
  request.set_top_k(options_.top_k);
  return request.SerializeAsString();
}

inference::ModelInferRequest RequestMaker::InferEnvelope(
    const std::string& id) {
  inference::ModelInferRequest request;
  request.set_model_name(options_.name);
  request.set_id(id);
  const int64_t version = NextVersion();
  if (version > 0) request.set_model_version(absl::StrCat(version));
  auto* tensor = request.add_inputs();
  tensor->set_name(input_.name);
  tensor->set_datatype(input_.datatype);
  for (const int64_t side : input_.shape) tensor->add_shape(side);
  return request;
}

absl::Status RequestMaker::ShareMemory(int requests) {
  const auto images = static_cast<size_t>(options_.images_per_request);
  // A slot has the same images each time.
  const int rounds = (requests + images_.count() - 1) / images_.count();
  auto shared = SharedSlots::Create(
      rounds * images_.count(), images * (images_.most_bytes() + kLengthBytes));
  if (!shared.ok()) return shared.status();
  shared_ = *std::move(shared);
  return absl::OkStatus();
}

grpc::ByteBuffer RequestMaker::Next() {
  if (options_.api == Api::kInfer) return NextInfer("");
  return NextClassify([](size_t /*size*/, std::string* /*text*/) {});
}

grpc::ByteBuffer RequestMaker::NextItem(const std::string& id) {
  if (options_.api == Api::kInferStream) return NextInfer(id);
  return NextClassify([&](size_t size, std::string* text) {
    AppendFieldStart(v1::ClassifyStreamRequest::kIdFieldNumber, id.size(),
                     text);
    *text += id;
    AppendFieldStart(v1::ClassifyStreamRequest::kClassifyFieldNumber, size,
                     text);
  });
}

template <typename Head>
grpc::ByteBuffer RequestMaker::NextClassify(const Head& head) {
  const int field = images_.by_digest()
                        ? v1::ClassifyRequest::kImageDigestsFieldNumber
                        : v1::ClassifyRequest::kImagesFieldNumber;
  const std::string envelope = ClassifyEnvelope();
  size_t size = envelope.size();
  std::vector<std::pair<std::string, ImageBytes>> images;
  for (int i = 0; i < options_.images_per_request; ++i) {
    auto& [start, image] = images.emplace_back("", images_.Next());
    AppendFieldStart(field, image.size(), &start);
    size += start.size() + image.size();
  }
  std::string text;
  head(size, &text);
  text += envelope;
  std::vector<grpc::Slice> slices;
  for (auto& [start, image] : images) {
    text += start;
    text += image.head;
    if (image.tail.size() == 0) continue;
    slices.emplace_back(text);
    slices.push_back(std::move(image.tail));
    text.clear();
  }
  if (!text.empty()) slices.emplace_back(text);
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer RequestMaker::SharedInfer(const std::string& id) {
  const SharedSlots::Slot slot = shared_->Next();
  size_t size = 0;
  const auto append = [&](const void* bytes, size_t count) {
    std::memcpy(slot.data + size, bytes, count);
    size += count;
  };
  for (int i = 0; i < options_.images_per_request; ++i) {
    const ImageBytes image = images_.Next();
    if (input_.datatype == "BYTES") {
      append(LittleEndian32(image.size()).data(), kLengthBytes);
    }
    append(image.head.data(), image.head.size());
    // As in messages, what images have in common is not copied.
    if (slot.filled) {
      size += image.tail.size();
    } else {
      append(image.tail.begin(), image.tail.size());
    }
  }
  inference::ModelInferRequest request = InferEnvelope(id);
  auto& parameters = *request.mutable_inputs(0)->mutable_parameters();
  parameters["shared_memory_region"].set_string_param(shared_->key());
  parameters["shared_memory_offset"].set_int64_param(
      static_cast<int64_t>(slot.offset));
  parameters["shared_memory_byte_size"].set_int64_param(
      static_cast<int64_t>(size));
  grpc::Slice text(request.SerializeAsString());
  return grpc::ByteBuffer(&text, 1);
}

grpc::ByteBuffer RequestMaker::NextInfer(const std::string& id) {
  if (shared_ != nullptr) return SharedInfer(id);
  const bool counted = input_.datatype == "BYTES";
  std::vector<ImageBytes> images;
  size_t total = 0;
  for (int i = 0; i < options_.images_per_request; ++i) {
    images.push_back(images_.Next());
    total += images.back().size() + (counted ? kLengthBytes : 0);
  }
  std::string text = InferEnvelope(id).SerializeAsString();
  AppendFieldStart(inference::ModelInferRequest::kRawInputContentsFieldNumber,
                   total, &text);
  std::vector<grpc::Slice> slices;
  for (ImageBytes& image : images) {
    if (counted) text += LittleEndian32(image.size());
    text += image.head;
    slices.emplace_back(text);
    slices.push_back(std::move(image.tail));
    text.clear();
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

absl::StatusOr<int> RequestMaker::AnsweredImages(
    const grpc::ByteBuffer& reply) const {
  if (!IsInfer(options_.api)) {
    const auto response = Parse<v1::ClassifyResponse>(reply);
    if (!response.ok()) return response.status();
    return Answered(*response);
  }
  const auto response = Parse<inference::ModelInferResponse>(reply);
  if (!response.ok()) return response.status();
  return response->outputs().empty() ? 0 : options_.images_per_request;
}

absl::StatusOr<ItemAnswer> RequestMaker::AnswerOf(
    const grpc::ByteBuffer& reply) const {
  if (options_.api == Api::kInferStream) return InferAnswerOf(reply);
  const auto response = Parse<v1::ClassifyStreamResponse>(reply);
  if (!response.ok()) return response.status();
  ItemAnswer answer{response->id(), grpc::Status::OK,
                    Answered(response->classify())};
  if (response->code() != 0) {
    answer.status =
        grpc::Status(static_cast<grpc::StatusCode>(response->code()),
                     response->error_message());
  }
  return answer;
}

absl::StatusOr<ItemAnswer> RequestMaker::InferAnswerOf(
    const grpc::ByteBuffer& reply) const {
  const auto response = Parse<inference::ModelStreamInferResponse>(reply);
  if (!response.ok()) return response.status();
  const inference::ModelInferResponse& answer = response->infer_response();
  if (!response->error_message().empty()) {
    // The protocol has no code beside it.
    return ItemAnswer{answer.id(), grpc::Status(grpc::StatusCode::UNKNOWN,
                                                response->error_message())};
  }
  return ItemAnswer{answer.id(), grpc::Status::OK,
                    answer.outputs().empty() ? 0 : options_.images_per_request};
}

}  // namespace promptd::load
