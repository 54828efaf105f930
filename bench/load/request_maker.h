// Serialised requests of either API, with images that are not copied.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/load/image_source.h"
#include "bench/load/options.h"

namespace promptd::load {

// What the model's metadata say of the input that is used.
struct ModelInput {
  std::string name;
  std::string datatype;        // BYTES or FP32
  std::vector<int64_t> shape;  // [images, ...]
};

// Thread-compatible.
class RequestMaker {
 public:
  // `input` counts for Api::kInfer only.
  RequestMaker(const RequestOptions& options, ModelInput input,
               ImageSource images, uint64_t seed);

  // The path of the call, as gRPC wants it.
  const std::string& method() const { return method_; }
  const std::string& tenant() const { return options_.tenant; }
  int images_per_request() const { return options_.images_per_request; }

  grpc::ByteBuffer Next();

  // The images that a reply answers; those with an error of their own are
  // not. INTERNAL when it is no reply.
  absl::StatusOr<int> AnsweredImages(const grpc::ByteBuffer& reply) const;

 private:
  // All fields but the images.
  std::string Envelope();

  const RequestOptions options_;
  const ModelInput input_;
  const std::string method_;
  ImageSource images_;
  std::mt19937_64 random_;
};

}  // namespace promptd::load
