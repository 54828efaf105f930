#include "server/context_upload.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "store/blob_store.h"
#include "worker/tensor_blob.h"

namespace promptd::server {

int64_t MaxContextFileBytes(const Limits& limits) {
  return limits.max_context_bytes + (64 << 10);
}

ContextUpload* ContextUpload::Start(std::shared_ptr<Call> call, const Rpc* rpc,
                                    const Backend* backend, ByteBudget* streams,
                                    v1::UploadContextResponse* reply) {
  auto* upload =
      new ContextUpload(std::move(call), rpc, backend, streams, reply);
  upload->Begin();
  return upload;
}

ContextUpload::ContextUpload(std::shared_ptr<Call> call, const Rpc* rpc,
                             const Backend* backend, ByteBudget* streams,
                             v1::UploadContextResponse* reply)
    : ReadStream(std::move(call), rpc, streams,
                 backend->limits.max_context_uploads, reply),
      backend_(*backend) {}

absl::Status ContextUpload::Take(const v1::UploadContextRequest& message) {
  const std::string& chunk = message.chunk();
  const int64_t most_chunk = backend_.limits.max_chunk_bytes;
  if (static_cast<int64_t>(chunk.size()) > most_chunk) {
    return InvalidFields(
        "INVALID_UPLOAD",
        {{"chunk", absl::StrCat("has ", chunk.size(), " bytes, at most ",
                                most_chunk, " are taken")}});
  }
  const int64_t most = MaxContextFileBytes(backend_.limits);
  if (static_cast<int64_t>(bytes_.size() + chunk.size()) > most) {
    return MakeError(absl::StatusCode::kResourceExhausted, "CONTEXT_TOO_LARGE",
                     absl::StrCat("the context has more than ", most,
                                  " bytes: this server takes no larger ones"));
  }
  bytes_ += chunk;
  return absl::OkStatus();
}

absl::Status ContextUpload::Complete() {
  ASSIGN_OR_RETURN(const std::vector<int64_t> shape,
                   worker::ContextShape(bytes_));
  ASSIGN_OR_RETURN(const std::string digest, backend_.blobs->Put(bytes_));
  result().set_digest(digest);
  for (const int64_t dimension : shape) result().add_shape(dimension);
  return absl::OkStatus();
}

}  // namespace promptd::server
