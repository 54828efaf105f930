// A front end on another machine behind worker/control.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"
#include "promptd/worker/v1/control.grpc.pb.h"
#include "wire/blob_cache.h"
#include "wire/wire_status.h"
#include "wire/worker_token.h"
#include "worker/control.h"

namespace promptd::wire {

struct ControlClientOptions {
  // Of one call that moves no blob.
  absl::Duration call_time = absl::Seconds(10);
  // A front end that cannot be reached is asked again for this long: it may be
  // restarting. Not for leases and heartbeats.
  absl::Duration retry_for = absl::Seconds(15);
  // The front end's blobs, where both share a file system; empty: not shared.
  std::string shared_blobs = {};
};

// Contracts: worker/control.h, whose errors arrive as they were sent, and
// UNAVAILABLE (PEER_UNREACHABLE). Blobs and manifests are verified when they
// arrive: DATA_LOSS (BLOB_CORRUPT). Thread-safe.
class ControlClient : public worker::Control {
 public:
  // `cache` is borrowed; null: none.
  ControlClient(ControlClientOptions options,
                std::shared_ptr<grpc::Channel> channel, WorkerToken token,
                BlobCache* cache);

  // The session of the attached worker; empty: it is not attached, and leases
  // nothing.
  void SetSession(const std::string& session);
  // There may be work.
  void NotifyWork();
  // Calls fail at once from now on when the front end cannot be reached.
  void StopRetrying();

  absl::StatusOr<std::optional<worker::LeasedJob>> Lease(
      const std::string& worker_id,
      const std::vector<std::string>& encoder_digests,
      absl::Duration wait) override;
  void EndWait(const std::string&) override { NotifyWork(); }
  absl::StatusOr<worker::Directive> Heartbeat(int64_t job,
                                              int64_t fence) override;
  absl::Status ReportProgress(int64_t job, int64_t fence,
                              const worker::Progress& progress) override;
  absl::Status SaveCheckpoint(
      int64_t job, int64_t fence,
      const worker::SavedCheckpoint& checkpoint) override;
  absl::StatusOr<int64_t> Publish(
      int64_t job, int64_t fence,
      const worker::FinishedPrompt& prompt) override;
  absl::Status StoreEvaluation(int64_t job, int64_t fence,
                               const worker::Evaluation& evaluation) override;
  absl::Status Fail(int64_t job, int64_t fence,
                    const absl::Status& error) override;
  absl::Status ConfirmCancel(int64_t job, int64_t fence) override;
  absl::Status ConfirmPause(int64_t job, int64_t fence) override;
  absl::Status Release(int64_t job, int64_t fence) override;
  absl::StatusOr<datasets::Manifest> GetManifest(
      const std::string& dataset_digest) override;
  absl::StatusOr<std::string> GetBlob(const std::string& digest) override;
  absl::StatusOr<std::string> PutBlob(const std::string& bytes) override;
  absl::StatusOr<std::optional<std::string>> FindFeatures(
      const std::string& key) override;
  absl::Status RecordFeatures(const std::string& key,
                              const std::string& digest) override;

 private:
  using Stub = pb::ControlService::Stub;
  // One attempt of a call.
  using Attempt = std::function<grpc::Status(grpc::ClientContext*)>;

  std::string session() const;
  // Returns on NotifyWork(), which is remembered, or after `timeout`.
  void WaitForHint(absl::Duration timeout);
  absl::Status Once(absl::Duration time, const Attempt& attempt) const;
  absl::Status Retrying(absl::Duration time, const Attempt& attempt) const;
  template <typename Request, typename Response>
  absl::Status Unary(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                  const Request&, Response*),
                     const Request& request, Response* response) const;
  template <typename Request>
  absl::Status Write(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                  const Request&, pb::Done*),
                     const Request& request) const;
  // Receives the Chunks that `open` begins.
  absl::StatusOr<std::string> Receive(
      const std::function<std::unique_ptr<grpc::ClientReader<pb::Chunk>>(
          grpc::ClientContext*)>& open) const;

  const ControlClientOptions options_;
  const WorkerToken token_;
  const std::unique_ptr<Stub> stub_;
  BlobCache* const cache_;
  mutable absl::Mutex mutex_;
  std::string session_ ABSL_GUARDED_BY(mutex_);
  bool work_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_retrying_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace promptd::wire
