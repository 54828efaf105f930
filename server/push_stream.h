// One PushDataset stream: the manifest comes in, the digests that are missing
// go out, last the push id.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "datasets/manifest.h"
#include "grpcpp/support/server_callback.h"
#include "promptd/v1/dataset.pb.h"
#include "registry/records.h"
#include "server/backend.h"
#include "server/byte_budget.h"
#include "server/rpc.h"

namespace promptd::server {

// Owns itself until gRPC is done with it. Reads, the step on the pool and
// writes follow each other, so the state belongs to the one that runs; what a
// cancellation may meet is under the mutex.
class PushStream : public grpc::ServerBidiReactor<v1::PushDatasetRequest,
                                                  v1::PushDatasetResponse> {
 public:
  // The pointers are borrowed; `budget` bounds the manifests being received.
  static PushStream* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                           const Backend* backend, ByteBudget* budget);
  ~PushStream() override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  PushStream(std::shared_ptr<Call> call, const Rpc* rpc, const Backend* backend,
             ByteBudget* budget);
  absl::Status Take(const v1::PushDatasetRequest& message);
  absl::Status TakeItem(const v1::DatasetItem& item);
  // Checks the manifest and opens the push; fills `missing_` and `result_`.
  absl::Status Complete();
  void ReadNext();
  void SendNext();
  void End(const absl::Status& status);

  const std::shared_ptr<Call> call_;
  const Rpc* const rpc_;
  const Backend& backend_;
  ByteBudget* const budget_;
  std::shared_ptr<PushStream> self_;
  int64_t taken_bytes_ = 0;
  bool has_header_ = false;
  int64_t announced_items_ = 0;
  datasets::Manifest manifest_;
  v1::PushDatasetRequest incoming_;
  v1::PushDatasetResponse outgoing_;
  std::vector<std::string> missing_;
  size_t sent_ = 0;
  v1::PushDatasetResponse result_;
  bool result_sent_ = false;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

// The draft of a validated manifest: its digest, stored form and counts.
registry::DatasetDraft MakeDraft(const datasets::Manifest& manifest);

}  // namespace promptd::server
