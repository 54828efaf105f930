#include "wire/control_client.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/monotonic.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "wire/channel.h"
#include "wire/convert_job.h"
#include "wire/method_table.h"

namespace promptd::wire {
namespace {

constexpr char kPeer[] = "the front end";
// Of one blob or manifest.
constexpr absl::Duration kBytesTime = absl::Minutes(30);
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

pb::FencedJob Fenced(int64_t job, int64_t fence) {
  pb::FencedJob out;
  out.set_job(job);
  out.set_fence(fence);
  return out;
}

absl::Status Corrupt(const std::string& digest) {
  return MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                   absl::StrCat("what arrived for ", digest,
                                " is not what this digest names"));
}

}  // namespace

ControlClient::ControlClient(ControlClientOptions options,
                             std::shared_ptr<grpc::Channel> channel,
                             WorkerToken token, BlobCache* cache)
    : options_(std::move(options)),
      token_(std::move(token)),
      stub_(pb::ControlService::NewStub(channel)),
      cache_(cache) {}

void ControlClient::SetSession(const std::string& session) {
  absl::MutexLock lock(&mutex_);
  session_ = session;
  work_ = true;
}

std::string ControlClient::session() const {
  absl::MutexLock lock(&mutex_);
  return session_;
}

void ControlClient::NotifyWork() {
  absl::MutexLock lock(&mutex_);
  work_ = true;
}

void ControlClient::StopRetrying() {
  absl::MutexLock lock(&mutex_);
  stop_retrying_ = true;
}

void ControlClient::WaitForHint(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&work_), timeout);
  work_ = false;
}

absl::Status ControlClient::Once(absl::Duration time,
                                 const Attempt& attempt) const {
  grpc::ClientContext context;
  Prepare(token_, absl::Now() + time, &context);
  context.AddMetadata(kSessionMetadata, session());
  return FromGrpc(attempt(&context), kPeer);
}

absl::Status ControlClient::Retrying(absl::Duration time,
                                     const Attempt& attempt) const {
  absl::BitGen random;
  const absl::Time until = absl::Now() + options_.retry_for;
  absl::Duration pause = kFirstPause;
  while (true) {
    const absl::Status status = Once(time, attempt);
    if (!IsUnreachable(status) || absl::Now() + pause > until) return status;
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stop_retrying_),
                            pause * absl::Uniform(random, 0.5, 1.5));
    if (stop_retrying_) return status;
    pause = std::min(pause * 2, kLongestPause);
  }
}

template <typename Request, typename Response>
absl::Status ControlClient::Unary(
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, Response* response) const {
  return Retrying(options_.call_time, [&](grpc::ClientContext* context) {
    return (stub_.get()->*method)(context, request, response);
  });
}

template <typename Request>
absl::Status ControlClient::Write(
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 pb::Done*),
    const Request& request) const {
  pb::Done done;
  return Unary(method, request, &done);
}

absl::StatusOr<std::optional<worker::LeasedJob>> ControlClient::Lease(
    const std::string& worker_id,
    const std::vector<std::string>& encoder_digests, absl::Duration wait) {
  if (session().empty()) {
    WaitForHint(wait);
    return std::optional<worker::LeasedJob>();
  }
  pb::LeaseRequest request;
  request.set_worker_id(worker_id);
  for (const std::string& digest : encoder_digests) {
    request.add_encoder_digests(digest);
  }
  pb::LeaseResponse response;
  const int64_t asked_ns = MonotonicNanoseconds();
  const absl::Status asked =
      Once(options_.call_time, [&](grpc::ClientContext* context) {
        return stub_->Lease(context, request, &response);
      });
  // A front end that is gone for a moment: attaching again is a hint.
  const bool away =
      IsUnreachable(asked) || ErrorReason(asked) == "NOT_ATTACHED";
  if (!asked.ok() && (!away || wait <= absl::ZeroDuration())) return asked;
  if (!response.has_job()) {
    WaitForHint(wait);
    return std::optional<worker::LeasedJob>();
  }
  ASSIGN_OR_RETURN(worker::LeasedJob job, FromProto(response.job()));
  job.leased_ns = asked_ns;
  return std::optional<worker::LeasedJob>(std::move(job));
}

absl::StatusOr<worker::Directive> ControlClient::Heartbeat(int64_t job,
                                                           int64_t fence) {
  pb::HeartbeatRequest request;
  *request.mutable_job() = Fenced(job, fence);
  pb::HeartbeatResponse response;
  RETURN_IF_ERROR(Once(options_.call_time, [&](grpc::ClientContext* context) {
    return stub_->Heartbeat(context, request, &response);
  }));
  return FromProto(response.directive());
}

absl::Status ControlClient::ReportProgress(int64_t job, int64_t fence,
                                           const worker::Progress& progress) {
  pb::ReportProgressRequest request;
  *request.mutable_job() = Fenced(job, fence);
  ToProto(progress, request.mutable_progress());
  return Write(&Stub::ReportProgress, request);
}

absl::Status ControlClient::SaveCheckpoint(
    int64_t job, int64_t fence, const worker::SavedCheckpoint& saved) {
  pb::SaveCheckpointRequest request;
  *request.mutable_job() = Fenced(job, fence);
  request.set_blob_digest(saved.blob_digest);
  request.set_epoch(saved.epoch);
  request.set_step(saved.step);
  return Write(&Stub::SaveCheckpoint, request);
}

absl::StatusOr<int64_t> ControlClient::Publish(
    int64_t job, int64_t fence, const worker::FinishedPrompt& prompt) {
  pb::PublishRequest request;
  *request.mutable_job() = Fenced(job, fence);
  ToProto(prompt, request.mutable_prompt());
  pb::PublishResponse response;
  RETURN_IF_ERROR(Unary(&Stub::Publish, request, &response));
  return response.version();
}

absl::Status ControlClient::StoreEvaluation(
    int64_t job, int64_t fence, const worker::Evaluation& evaluation) {
  pb::StoreEvaluationRequest request;
  *request.mutable_job() = Fenced(job, fence);
  request.set_evaluation_json(worker::EvaluationToJson(evaluation));
  return Write(&Stub::StoreEvaluation, request);
}

absl::Status ControlClient::Fail(int64_t job, int64_t fence,
                                 const absl::Status& error) {
  pb::FailRequest request;
  *request.mutable_job() = Fenced(job, fence);
  ToProto(error, request.mutable_error());
  return Write(&Stub::Fail, request);
}

absl::Status ControlClient::ConfirmCancel(int64_t job, int64_t fence) {
  return Write(&Stub::ConfirmCancel, Fenced(job, fence));
}

absl::Status ControlClient::ConfirmPause(int64_t job, int64_t fence) {
  return Write(&Stub::ConfirmPause, Fenced(job, fence));
}

absl::Status ControlClient::Release(int64_t job, int64_t fence) {
  return Write(&Stub::Release, Fenced(job, fence));
}

absl::StatusOr<std::string> ControlClient::Receive(
    const std::function<std::unique_ptr<grpc::ClientReader<pb::Chunk>>(
        grpc::ClientContext*)>& open) const {
  std::string bytes;
  RETURN_IF_ERROR(Retrying(kBytesTime, [&](grpc::ClientContext* context) {
    bytes.clear();
    const auto reader = open(context);
    pb::Chunk chunk;
    while (reader->Read(&chunk)) bytes += chunk.data();
    return reader->Finish();
  }));
  return bytes;
}

absl::StatusOr<datasets::Manifest> ControlClient::GetManifest(
    const std::string& dataset_digest) {
  pb::GetManifestRequest request;
  request.set_dataset_digest(dataset_digest);
  ASSIGN_OR_RETURN(const std::string json,
                   Receive([&](grpc::ClientContext* context) {
                     return stub_->GetManifest(context, request);
                   }));
  ASSIGN_OR_RETURN(datasets::Manifest manifest,
                   datasets::ManifestFromJson(json));
  if (datasets::ManifestDigest(manifest) != dataset_digest) {
    return Corrupt(dataset_digest);
  }
  return manifest;
}

absl::StatusOr<std::string> ControlClient::GetBlob(const std::string& digest) {
  if (!options_.shared_blobs.empty()) {
    return ReadSharedBlob(options_.shared_blobs, digest);
  }
  if (cache_ != nullptr) {
    auto cached = cache_->Get(digest);
    if (cached.ok()) return cached;
  }
  pb::GetBlobRequest request;
  request.set_digest(digest);
  ASSIGN_OR_RETURN(std::string bytes,
                   Receive([&](grpc::ClientContext* context) {
                     return stub_->GetBlob(context, request);
                   }));
  FailpointDamage("wire.bytes", &bytes);
  if (Sha256Hex(bytes) != digest) return Corrupt(digest);
  if (cache_ != nullptr) cache_->Put(digest, bytes);
  return bytes;
}

absl::StatusOr<std::string> ControlClient::PutBlob(const std::string& bytes) {
  pb::PutBlobResponse response;
  RETURN_IF_ERROR(Retrying(kBytesTime, [&](grpc::ClientContext* context) {
    const auto writer = stub_->PutBlob(context, &response);
    pb::Chunk chunk;
    for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
      chunk.set_data(bytes.substr(at, kChunkBytes));
      if (!writer->Write(chunk)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }));
  const std::string digest = Sha256Hex(bytes);
  if (response.digest() != digest) return Corrupt(digest);
  if (cache_ != nullptr) cache_->Put(digest, bytes);
  return digest;
}

absl::StatusOr<std::optional<std::string>> ControlClient::FindFeatures(
    const std::string& key) {
  pb::FindFeaturesRequest request;
  request.set_key(key);
  pb::FindFeaturesResponse response;
  RETURN_IF_ERROR(Unary(&Stub::FindFeatures, request, &response));
  if (!response.has_digest()) return std::optional<std::string>();
  return std::optional<std::string>(response.digest());
}

absl::Status ControlClient::RecordFeatures(const std::string& key,
                                           const std::string& digest) {
  pb::RecordFeaturesRequest request;
  request.set_key(key);
  request.set_digest(digest);
  return Write(&Stub::RecordFeatures, request);
}

}  // namespace promptd::wire
