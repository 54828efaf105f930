#include "bench/load/request_maker.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "inference/inference.pb.h"
#include "promptd/v1/classify.pb.h"

namespace promptd::load {
namespace {

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
  std::string bytes(4, '\0');
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
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

}  // namespace

RequestMaker::RequestMaker(const RequestOptions& options, ModelInput input,
                           ImageSource images, uint64_t seed)
    : options_(options),
      input_(std::move(input)),
      method_(options.api == Api::kClassify
                  ? "/promptd.v1.ClassifyService/Classify"
                  : "/inference.GRPCInferenceService/ModelInfer"),
      images_(std::move(images)),
      random_(seed) {}

std::string RequestMaker::Envelope() {
  int64_t version = 0;
  if (options_.versions.has_value()) {
    version = std::uniform_int_distribution<int64_t>(
        options_.versions->first, options_.versions->last)(random_);
  }
  if (options_.api == Api::kClassify) {
    v1::ClassifyRequest request;
    request.set_task(options_.name);
    if (version > 0) request.set_version(version);
    if (!options_.alias.empty()) request.set_alias(options_.alias);
    request.set_top_k(options_.top_k);
    return request.SerializeAsString();
  }
  inference::ModelInferRequest request;
  request.set_model_name(options_.name);
  if (version > 0) request.set_model_version(absl::StrCat(version));
  auto* tensor = request.add_inputs();
  tensor->set_name(input_.name);
  tensor->set_datatype(input_.datatype);
  for (const int64_t side : input_.shape) tensor->add_shape(side);
  return request.SerializeAsString();
}

grpc::ByteBuffer RequestMaker::Next() {
  const bool classify = options_.api == Api::kClassify;
  const bool counted = !classify && input_.datatype == "BYTES";
  std::vector<ImageBytes> images;
  size_t total = 0;
  for (int i = 0; i < options_.images_per_request; ++i) {
    images.push_back(images_.Next());
    total += images.back().size() + (counted ? 4 : 0);
  }
  std::string text = Envelope();
  if (!classify) {
    AppendFieldStart(inference::ModelInferRequest::kRawInputContentsFieldNumber,
                     total, &text);
  }
  std::vector<grpc::Slice> slices;
  for (ImageBytes& image : images) {
    if (classify) {
      AppendFieldStart(v1::ClassifyRequest::kImagesFieldNumber, image.size(),
                       &text);
    }
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
  if (options_.api == Api::kClassify) {
    const auto response = Parse<v1::ClassifyResponse>(reply);
    if (!response.ok()) return response.status();
    int answered = 0;
    for (const v1::ImageResult& result : response->results()) {
      if (result.error_reason().empty()) ++answered;
    }
    return answered;
  }
  const auto response = Parse<inference::ModelInferResponse>(reply);
  if (!response.ok()) return response.status();
  return response->outputs().empty() ? 0 : options_.images_per_request;
}

}  // namespace promptd::load
