// One UploadContext stream: a context's bytes come in, are checked and stored.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "promptd/v1/training.pb.h"
#include "server/backend.h"
#include "server/read_stream.h"

namespace promptd::server {

class ContextUpload
    : public ReadStream<v1::UploadContextRequest, v1::UploadContextResponse> {
 public:
  // The pointers are borrowed; `streams` counts the uploads at once.
  static ContextUpload* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                              const Backend* backend, ByteBudget* streams,
                              v1::UploadContextResponse* reply);

 private:
  ContextUpload(std::shared_ptr<Call> call, const Rpc* rpc,
                const Backend* backend, ByteBudget* streams,
                v1::UploadContextResponse* reply);
  absl::Status Take(const v1::UploadContextRequest& message) override;
  absl::Status Complete() override;

  const Backend& backend_;
  std::string bytes_;
};

// The bytes that a file of a context may have at most: its numbers and a
// header.
int64_t MaxContextFileBytes(const Limits& limits);

}  // namespace promptd::server
