// Serialised requests of any API, with images that are not copied.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/load/image_source.h"
#include "bench/load/options.h"
#include "bench/load/shared_slots.h"
#include "inference/inference.pb.h"

namespace promptd::load {

// What the model's metadata say of the input that is used.
struct ModelInput {
  std::string name;
  std::string datatype;        // BYTES or FP32
  std::vector<int64_t> shape;  // [images, ...]
};

// The answer to an item of a stream.
struct ItemAnswer {
  std::string id;
  grpc::Status status;
  int images = 0;  // answered
};

// Thread-compatible.
class RequestMaker {
 public:
  // `input` counts for Open Inference only.
  RequestMaker(const RequestOptions& options, ModelInput input,
               ImageSource images, uint64_t seed);

  // The path of the call, as gRPC wants it.
  const std::string& method() const { return method_; }
  // Says whose the call is, if anybody is named.
  void NameTenant(grpc::ClientContext* context) const;
  int images_per_request() const { return options_.images_per_request; }

  // From now on images lie in shared(), which the server is to know by its key,
  // in slots for at least so many requests. UNAVAILABLE without room.
  absl::Status ShareMemory(int requests);
  const SharedSlots* shared() const { return shared_.get(); }

  // Not for streams.
  grpc::ByteBuffer Next();
  // Of a stream.
  grpc::ByteBuffer NextItem(const std::string& id);

  // The images that a reply answers; those with an error of their own are
  // not. INTERNAL when it is no reply.
  absl::StatusOr<int> AnsweredImages(const grpc::ByteBuffer& reply) const;
  // Of a stream. The same errors.
  absl::StatusOr<ItemAnswer> AnswerOf(const grpc::ByteBuffer& reply) const;

 private:
  absl::StatusOr<ItemAnswer> InferAnswerOf(const grpc::ByteBuffer& reply) const;
  // `id` may be empty.
  grpc::ByteBuffer NextInfer(const std::string& id);
  // A ClassifyRequest behind `head`, which says its size.
  template <typename Head>
  grpc::ByteBuffer NextClassify(const Head& head);
  // 0: none is named.
  int64_t NextVersion();
  // All fields but the images.
  std::string ClassifyEnvelope();
  inference::ModelInferRequest InferEnvelope(const std::string& id);
  // A request whose images lie in the next slot.
  grpc::ByteBuffer SharedInfer(const std::string& id);

  const RequestOptions options_;
  const ModelInput input_;
  const std::string method_;
  ImageSource images_;
  std::mt19937_64 random_;
  std::unique_ptr<SharedSlots> shared_;
};

}  // namespace promptd::load
