#include "server/upload_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "datasets/image_format.h"
#include "registry/registry.h"
#include "server/grpc_status.h"

namespace promptd::server {
namespace {

constexpr size_t kMaxRejectionBytes = 500;

}  // namespace

UploadStream* UploadStream::Start(std::shared_ptr<Call> call, const Rpc* rpc,
                                  const Backend* backend, ByteBudget* streams,
                                  v1::UploadImagesResponse* reply) {
  auto* stream =
      new UploadStream(std::move(call), rpc, backend, streams, reply);
  stream->Begin();
  return stream;
}

UploadStream::UploadStream(std::shared_ptr<Call> call, const Rpc* rpc,
                           const Backend* backend, ByteBudget* streams,
                           v1::UploadImagesResponse* reply)
    : ReadStream(std::move(call), rpc, streams, backend->limits.max_uploads,
                 reply),
      backend_(*backend),
      batch_(backend->blobs->NewBatch()) {}

absl::Status UploadStream::Take(const v1::UploadImagesRequest& message) {
  if (push_id_.empty()) {
    push_id_ = message.push_id();
    if (push_id_.empty()) {
      return InvalidFields("INVALID_UPLOAD",
                           {{"push_id", "is required in the first message"}});
    }
    // Before any byte is stored: does this push exist?
    RETURN_IF_ERROR(backend_.registry->pushes()
                        .Get(call().principal().tenant, push_id_)
                        .status());
  }
  const std::string& chunk = message.chunk();
  const int64_t most = backend_.limits.max_chunk_bytes;
  if (static_cast<int64_t>(chunk.size()) > most) {
    return InvalidFields(
        "INVALID_UPLOAD",
        {{"chunk", absl::StrCat("has ", chunk.size(), " bytes, at most ", most,
                                " are taken")}});
  }
  if (image_digest_ == nullptr) image_digest_ = std::make_unique<Sha256>();
  image_digest_->Update(chunk);
  image_bytes_ += static_cast<int64_t>(chunk.size());
  // Of an image that is too large only the digest goes on, for the report.
  if (image_bytes_ <= backend_.limits.max_image_bytes) image_ += chunk;
  return message.last() ? FinishImage() : absl::OkStatus();
}

absl::Status UploadStream::FinishImage() {
  const std::string digest = image_digest_->HexDigest();
  const absl::Status status = Store(digest);
  image_digest_.reset();
  image_.clear();
  image_bytes_ = 0;
  if (status.code() == absl::StatusCode::kInvalidArgument) {
    Reject(digest, status);
    return absl::OkStatus();
  }
  return status;
}

absl::Status UploadStream::Store(const std::string& digest) {
  ASSIGN_OR_RETURN(
      const std::shared_ptr<const registry::DatasetDraft> draft,
      backend_.registry->pushes().Get(call().principal().tenant, push_id_));
  if (!registry::PushSessions::NamesImage(*draft, digest)) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     "IMAGE_NOT_IN_MANIFEST",
                     "the pushed manifest does not name this image");
  }
  datasets::ImageLimits limits;
  limits.max_bytes = backend_.limits.max_image_bytes;
  limits.max_side = backend_.limits.max_image_side;
  limits.max_pixels = backend_.limits.max_image_pixels;
  if (image_bytes_ > limits.max_bytes) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "IMAGE_TOO_LARGE",
        absl::StrCat("the image has ", image_bytes_, " bytes, at most ",
                     limits.max_bytes, " are taken"));
  }
  RETURN_IF_ERROR(datasets::ReadImageHeader(image_, limits).status());
  RETURN_IF_ERROR(batch_->Put(image_).status());
  result().set_stored_images(result().stored_images() + 1);
  result().set_stored_bytes(result().stored_bytes() + image_bytes_);
  return absl::OkStatus();
}

void UploadStream::Reject(const std::string& digest,
                          const absl::Status& status) {
  if (result().rejected_size() >= backend_.limits.max_rejected) return;
  v1::UploadImagesResponse::Rejected* rejected = result().add_rejected();
  rejected->set_digest(digest);
  rejected->set_reason(ErrorReason(status));
  rejected->set_message(TruncateUtf8(status.message(), kMaxRejectionBytes));
}

absl::Status UploadStream::Complete() {
  if (image_digest_ != nullptr) {
    return InvalidFields(
        "INVALID_UPLOAD",
        {{"last",
          "the stream ended inside an image: its last chunk must be "
          "marked"}});
  }
  return batch_->Flush();
}

}  // namespace promptd::server
