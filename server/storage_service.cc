#include "server/storage_service.h"

#include "common/error.h"
#include "common/status_macros.h"
#include "registry/garbage.h"
#include "server/garbage_collector.h"
#include "store/blob_store.h"

namespace promptd::server {
namespace {

// A push keeps its images unreferenced until it is committed.
constexpr absl::Duration kLeastGrace = absl::Hours(1);
constexpr absl::Duration kMostGrace = absl::Hours(24 * 3650);

absl::StatusOr<absl::Duration> GraceOf(
    const v1::CollectGarbageRequest& request) {
  if (!request.has_grace()) return registry::GarbageOptions().grace;
  const absl::Duration grace = absl::Seconds(request.grace().seconds()) +
                               absl::Nanoseconds(request.grace().nanos());
  if (grace < kLeastGrace || grace > kMostGrace) {
    return InvalidFields("INVALID_GRACE", {{"grace",
                                            "must be at least 1 h, longer than "
                                            "any upload takes, and at most "
                                            "ten years"}});
  }
  return grace;
}

void ToProto(const registry::BlobCount& count, v1::BlobCount* out) {
  out->set_blobs(count.blobs);
  out->set_bytes(count.bytes);
}

}  // namespace

StorageServiceImpl::StorageServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.StorageService", backend->metrics, backend->pool) {}

grpc::ServerUnaryReactor* StorageServiceImpl::CollectGarbage(
    grpc::CallbackServerContext* context,
    const v1::CollectGarbageRequest* request,
    v1::CollectGarbageResponse* reply) {
  return rpc_.Unary(
      context, "CollectGarbage",
      [this, request, reply](const Call&) { return Collect(*request, reply); });
}

absl::Status StorageServiceImpl::Collect(
    const v1::CollectGarbageRequest& request,
    v1::CollectGarbageResponse* reply) {
  ASSIGN_OR_RETURN(const absl::Duration grace, GraceOf(request));
  ASSIGN_OR_RETURN(const registry::GarbageReport report,
                   backend_.garbage->Collect(request.dry_run(), grace));
  ToProto(report.kept, reply->mutable_kept());
  ToProto(report.young, reply->mutable_young());
  ToProto(report.garbage, reply->mutable_deleted());
  reply->set_max_bytes(backend_.blobs->max_bytes());
  return absl::OkStatus();
}

}  // namespace promptd::server
