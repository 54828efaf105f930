#include "server/archive_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/archive_import.h"
#include "server/convert_registry.h"
#include "server/read_stream.h"

namespace promptd::server {
namespace {

// At once, of each kind: each may hold a whole archive.
constexpr int kMaxStreams = 4;
constexpr size_t kChunkBytes = size_t{1} << 20;

class ImportStream
    : public ReadStream<v1::ImportArchiveRequest, v1::ImportArchiveResponse> {
 public:
  static ImportStream* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                             const Backend* backend, ByteBudget* streams,
                             v1::ImportArchiveResponse* reply) {
    auto* stream =
        new ImportStream(std::move(call), rpc, backend, streams, reply);
    stream->Begin();
    return stream;
  }

 private:
  ImportStream(std::shared_ptr<Call> call, const Rpc* rpc,
               const Backend* backend, ByteBudget* streams,
               v1::ImportArchiveResponse* reply)
      : ReadStream(std::move(call), rpc, streams, kMaxStreams, reply),
        backend_(*backend) {}

  absl::Status Take(const v1::ImportArchiveRequest& message) override {
    const std::string& chunk = message.chunk();
    if (chunk.size() > kChunkBytes) {
      return InvalidFields(
          "INVALID_UPLOAD",
          {{"chunk", absl::StrCat("has ", chunk.size(), " bytes, at most ",
                                  kChunkBytes, " are taken")}});
    }
    if (static_cast<int64_t>(bytes_.size() + chunk.size()) > kMaxArchiveBytes) {
      return MakeError(
          absl::StatusCode::kResourceExhausted, "ARCHIVE_TOO_LARGE",
          absl::StrCat("the archive has more than ", kMaxArchiveBytes,
                       " bytes: this server takes no larger "
                       "ones"));
    }
    if (bytes_.empty()) task_ = message.task();
    bytes_ += chunk;
    return absl::OkStatus();
  }

  absl::Status Complete() override {
    const std::string& tenant = call().principal().tenant;
    ASSIGN_OR_RETURN(const ImportedVersion imported,
                     server::ImportArchive(backend_, tenant, task_, bytes_));
    result().set_existed(imported.existed);
    return ToProto(imported.version, result().mutable_version());
  }

  const Backend& backend_;
  std::string task_;
  std::string bytes_;
};

// Makes the archive on the pool and writes it chunk by chunk. Owns itself
// until gRPC is done with it.
class ExportStream
    : public grpc::ServerWriteReactor<v1::ExportArchiveResponse> {
 public:
  static ExportStream* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                             const Backend* backend, ByteBudget* streams,
                             const v1::ExportArchiveRequest& request) {
    auto* stream = new ExportStream(std::move(call), streams);
    stream->self_.reset(stream);
    stream->Begin(rpc, backend, request);
    return stream;
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (!ok) return End(Gone());
    WriteNext();
  }

  void OnCancel() override {
    call_->MarkCancelled();
    absl::MutexLock lock(&mutex_);
    End(Gone());
  }

  void OnDone() override {
    // May destroy this object.
    const std::shared_ptr<ExportStream> self = std::move(self_);
  }

 private:
  ExportStream(std::shared_ptr<Call> call, ByteBudget* streams)
      : call_(std::move(call)), streams_(streams) {}

  static absl::Status Gone() {
    return MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                     "the client cancelled the call");
  }

  void Begin(const Rpc* rpc, const Backend* backend,
             const v1::ExportArchiveRequest& request) {
    const std::shared_ptr<ExportStream> self = self_;
    {
      absl::MutexLock lock(&mutex_);
      if (!call_->admission().ok()) return End(call_->admission());
      if (!streams_->TryTake(1)) {
        return End(MakeError(
            absl::StatusCode::kResourceExhausted, "TOO_MANY_UPLOADS",
            absl::StrCat("at most ", kMaxStreams,
                         " archives are read at once: repeat it a little "
                         "later")));
      }
      counted_ = true;
      if (ended_) return;
    }
    rpc->Run(
        Where::kPool, call_,
        [self, backend, request]() -> absl::Status {
          ASSIGN_OR_RETURN(
              std::string bytes,
              server::ExportArchive(*backend, self->call_->principal().tenant,
                                    request.task(), request.version()));
          absl::MutexLock lock(&self->mutex_);
          self->bytes_ = std::move(bytes);
          return absl::OkStatus();
        },
        [self](const absl::Status& status) {
          absl::MutexLock lock(&self->mutex_);
          if (self->ended_) return;
          if (!status.ok()) return self->End(status);
          self->WriteNext();
        });
  }

  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (at_ >= bytes_.size()) return End(absl::OkStatus());
    message_.set_chunk(bytes_.substr(at_, kChunkBytes));
    at_ += kChunkBytes;
    StartWrite(&message_);
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return;
    ended_ = true;
    if (counted_) streams_->Give(1);
    Finish(call_->End(status));
  }

  const std::shared_ptr<Call> call_;
  ByteBudget* const streams_;
  std::shared_ptr<ExportStream> self_;
  absl::Mutex mutex_;
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
  size_t at_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::ExportArchiveResponse message_ ABSL_GUARDED_BY(mutex_);
  bool counted_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

ArchiveServiceImpl::ArchiveServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.ArchiveService", backend->metrics, backend->pool),
      imports_(kMaxStreams),
      exports_(kMaxStreams) {}

grpc::ServerWriteReactor<v1::ExportArchiveResponse>*
ArchiveServiceImpl::ExportArchive(grpc::CallbackServerContext* context,
                                  const v1::ExportArchiveRequest* request) {
  return ExportStream::Start(rpc_.Begin(context, "ExportArchive"), &rpc_,
                             &backend_, &exports_, *request);
}

grpc::ServerReadReactor<v1::ImportArchiveRequest>*
ArchiveServiceImpl::ImportArchive(grpc::CallbackServerContext* context,
                                  v1::ImportArchiveResponse* reply) {
  return ImportStream::Start(rpc_.Begin(context, "ImportArchive"), &rpc_,
                             &backend_, &imports_, reply);
}

}  // namespace promptd::server
