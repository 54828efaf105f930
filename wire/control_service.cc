#include "wire/control_service.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "datasets/manifest.h"
#include "wire/attach_stream.h"
#include "wire/convert_job.h"

namespace promptd::wire {
namespace {

constexpr size_t kMaxPutBytes = size_t{4} << 30;

std::string Path(const char* method) {
  return absl::StrCat("/promptd.worker.v1.ControlService/", method);
}

absl::StatusOr<pb::Done> DoneOr(const absl::Status& status) {
  if (!status.ok()) return status;
  return pb::Done();
}

// The methods of one service; makes the handlers, which hold its pointers.
class Methods {
 public:
  Methods(worker::Control* control, WorkerRegistry* registry,
          MethodTable* table)
      : control_(control), registry_(registry), table_(table) {}

  void AddLeases() const {
    table_->UnaryNow<pb::LeaseRequest, pb::LeaseResponse>(
        Path("Lease"),
        [control = control_, registry = registry_](
            const SharedCall& call,
            const pb::LeaseRequest&) -> absl::StatusOr<pb::LeaseResponse> {
          return Lease(control, registry, call->session());
        });
    table_->UnaryNow<pb::HeartbeatRequest, pb::HeartbeatResponse>(
        Path("Heartbeat"),
        [control = control_, registry = registry_](
            const SharedCall& call, const pb::HeartbeatRequest& request)
            -> absl::StatusOr<pb::HeartbeatResponse> {
          const LeaseName lease{request.job().job(), request.job().fence()};
          ASSIGN_OR_RETURN(const worker::Directive directive,
                           control->Heartbeat(lease.job, lease.fence));
          // A worker that comes back to a front end that was restarted.
          registry->AddLease(call->session(), lease);
          pb::HeartbeatResponse reply;
          reply.set_directive(ToProto(directive));
          return reply;
        });
  }

  void AddReports() const {
    table_->UnaryNow<pb::ReportProgressRequest, pb::Done>(
        Path("ReportProgress"),
        [control = control_](const SharedCall&,
                             const pb::ReportProgressRequest& request) {
          return DoneOr(control->ReportProgress(request.job().job(),
                                                request.job().fence(),
                                                FromProto(request.progress())));
        });
    table_->UnaryNow<pb::SaveCheckpointRequest, pb::Done>(
        Path("SaveCheckpoint"),
        [control = control_](const SharedCall&,
                             const pb::SaveCheckpointRequest& request) {
          return DoneOr(control->SaveCheckpoint(
              request.job().job(), request.job().fence(),
              {request.blob_digest(), request.epoch(), request.step()}));
        });
  }

  void AddEnds() const {
    table_->UnaryNow<pb::PublishRequest, pb::PublishResponse>(
        Path("Publish"),
        [control = control_, registry = registry_](
            const SharedCall& call, const pb::PublishRequest& request)
            -> absl::StatusOr<pb::PublishResponse> {
          const LeaseName lease{request.job().job(), request.job().fence()};
          ASSIGN_OR_RETURN(const worker::FinishedPrompt prompt,
                           FromProto(request.prompt()));
          ASSIGN_OR_RETURN(const int64_t version,
                           control->Publish(lease.job, lease.fence, prompt));
          registry->RemoveLease(call->session(), lease);
          pb::PublishResponse reply;
          reply.set_version(version);
          return reply;
        });
    AddEnd<pb::StoreEvaluationRequest>(
        "StoreEvaluation",
        [control = control_](
            const pb::StoreEvaluationRequest& request) -> absl::Status {
          ASSIGN_OR_RETURN(
              const worker::Evaluation evaluation,
              worker::EvaluationFromJson(request.evaluation_json()));
          return control->StoreEvaluation(request.job().job(),
                                          request.job().fence(), evaluation);
        });
    AddEnd<pb::FailRequest>(
        "Fail", [control = control_](const pb::FailRequest& request) {
          return control->Fail(request.job().job(), request.job().fence(),
                               FromProto(request.error()));
        });
    AddEnd<pb::FencedJob>(
        "ConfirmCancel", [control = control_](const pb::FencedJob& job) {
          return control->ConfirmCancel(job.job(), job.fence());
        });
    AddEnd<pb::FencedJob>(
        "ConfirmPause", [control = control_](const pb::FencedJob& job) {
          return control->ConfirmPause(job.job(), job.fence());
        });
    AddEnd<pb::FencedJob>("Release",
                          [control = control_](const pb::FencedJob& job) {
                            return control->Release(job.job(), job.fence());
                          });
  }

  void AddBytes() const {
    table_->BytesOut<pb::GetManifestRequest>(
        Path("GetManifest"),
        [control = control_](const pb::GetManifestRequest& request)
            -> absl::StatusOr<std::string> {
          ASSIGN_OR_RETURN(const datasets::Manifest manifest,
                           control->GetManifest(request.dataset_digest()));
          return datasets::ManifestToJson(manifest);
        });
    table_->BytesOut<pb::GetBlobRequest>(
        Path("GetBlob"),
        [control = control_](const pb::GetBlobRequest& request) {
          return control->GetBlob(request.digest());
        });
    table_->BytesIn<pb::PutBlobResponse>(
        Path("PutBlob"), kMaxPutBytes,
        [control = control_](
            const std::string& bytes) -> absl::StatusOr<pb::PutBlobResponse> {
          pb::PutBlobResponse reply;
          ASSIGN_OR_RETURN(*reply.mutable_digest(), control->PutBlob(bytes));
          return reply;
        });
    table_->UnaryNow<pb::FindFeaturesRequest, pb::FindFeaturesResponse>(
        Path("FindFeatures"),
        [control = control_](const SharedCall&,
                             const pb::FindFeaturesRequest& request)
            -> absl::StatusOr<pb::FindFeaturesResponse> {
          ASSIGN_OR_RETURN(const std::optional<std::string> digest,
                           control->FindFeatures(request.key()));
          pb::FindFeaturesResponse reply;
          if (digest) reply.set_digest(*digest);
          return reply;
        });
    table_->UnaryNow<pb::RecordFeaturesRequest, pb::Done>(
        Path("RecordFeatures"),
        [control = control_](const SharedCall&,
                             const pb::RecordFeaturesRequest& request) {
          return DoneOr(
              control->RecordFeatures(request.key(), request.digest()));
        });
  }

 private:
  static const pb::FencedJob& JobOf(const pb::FencedJob& job) { return job; }
  template <typename Request>
  static const pb::FencedJob& JobOf(const Request& request) {
    return request.job();
  }

  // A write that ends a lease.
  template <typename Request>
  void AddEnd(const char* method,
              std::function<absl::Status(const Request&)> write) const {
    table_->UnaryNow<Request, pb::Done>(
        Path(method),
        [registry = registry_, write = std::move(write)](
            const SharedCall& call,
            const Request& request) -> absl::StatusOr<pb::Done> {
          RETURN_IF_ERROR(write(request));
          const pb::FencedJob& job = JobOf(request);
          registry->RemoveLease(call->session(), {job.job(), job.fence()});
          return pb::Done();
        });
  }

  static absl::StatusOr<pb::LeaseResponse> Lease(worker::Control* control,
                                                 WorkerRegistry* registry,
                                                 const std::string& session) {
    ASSIGN_OR_RETURN(const WorkerHello worker, registry->Find(session));
    std::vector<std::string> digests;
    for (const worker::EncoderDescription& encoder : worker.encoders) {
      digests.push_back(encoder.digest);
    }
    ASSIGN_OR_RETURN(const std::optional<worker::LeasedJob> job,
                     control->Lease(worker.id, digests,
                                    /*wait=*/absl::ZeroDuration()));
    pb::LeaseResponse reply;
    if (!job) return reply;
    if (!registry->AddLease(session, {job->id, job->fence})) {
      // The stream ended meanwhile: nobody would wait for this job's beats.
      RETURN_IF_ERROR(control->Release(job->id, job->fence));
      return registry->Find(session).status();
    }
    ToProto(*job, reply.mutable_job());
    return reply;
  }

  worker::Control* const control_;
  WorkerRegistry* const registry_;
  MethodTable* const table_;
};

}  // namespace

std::unique_ptr<MethodTable> MakeControlService(WorkerToken token,
                                                MethodTable::Post post,
                                                worker::Control* control,
                                                WorkerRegistry* registry,
                                                absl::Duration lease) {
  auto table = std::make_unique<MethodTable>(std::move(token), post);
  const Methods methods(control, registry, table.get());
  methods.AddLeases();
  methods.AddReports();
  methods.AddEnds();
  methods.AddBytes();
  table->Stream(Path("Attach"), [registry, post, lease] {
    return AttachStream::Make(registry, post, lease);
  });
  return table;
}

}  // namespace promptd::wire
