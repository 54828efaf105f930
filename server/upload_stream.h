// One UploadImages stream: chunks come in, whole images are checked and
// stored, the others are listed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/sha256.h"
#include "promptd/v1/dataset.pb.h"
#include "server/backend.h"
#include "server/read_stream.h"
#include "store/blob_store.h"

namespace promptd::server {

class UploadStream
    : public ReadStream<v1::UploadImagesRequest, v1::UploadImagesResponse> {
 public:
  // The pointers are borrowed; `streams` counts the uploads at once.
  static UploadStream* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                             const Backend* backend, ByteBudget* streams,
                             v1::UploadImagesResponse* reply);

 private:
  UploadStream(std::shared_ptr<Call> call, const Rpc* rpc,
               const Backend* backend, ByteBudget* streams,
               v1::UploadImagesResponse* reply);
  absl::Status Take(const v1::UploadImagesRequest& message) override;
  // Makes what came durable.
  absl::Status Complete() override;
  absl::Status FinishImage();
  absl::Status Store(const std::string& digest);
  void Reject(const std::string& digest, const absl::Status& status);

  const Backend& backend_;
  std::string push_id_;
  const std::unique_ptr<store::BlobBatch> batch_;
  // The image that is coming in.
  std::string image_;
  int64_t image_bytes_ = 0;
  std::unique_ptr<Sha256> image_digest_;
};

}  // namespace promptd::server
