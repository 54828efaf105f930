// One UploadImages stream: chunks come in, whole images are checked and
// stored, the others are listed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/sha256.h"
#include "grpcpp/support/server_callback.h"
#include "promptd/v1/dataset.pb.h"
#include "server/backend.h"
#include "server/byte_budget.h"
#include "server/rpc.h"
#include "store/blob_store.h"

namespace promptd::server {

// Owns itself until gRPC is done with it. The next message is read only after
// the last one was dealt with on the pool, so one image at most is in memory
// and the state belongs to the step that runs; what a cancellation may meet is
// under the mutex.
class UploadStream : public grpc::ServerReadReactor<v1::UploadImagesRequest> {
 public:
  // The pointers are borrowed; `streams` counts the uploads at once.
  static UploadStream* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                             const Backend* backend, ByteBudget* streams,
                             v1::UploadImagesResponse* reply);
  ~UploadStream() override;

  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  UploadStream(std::shared_ptr<Call> call, const Rpc* rpc,
               const Backend* backend, ByteBudget* streams,
               v1::UploadImagesResponse* reply);
  void Begin();
  void ReadNext();
  // Deals with `incoming_`, on the pool.
  absl::Status Take();
  absl::Status FinishImage();
  absl::Status Store(const std::string& digest);
  void Reject(const std::string& digest, const absl::Status& status);
  // Makes what came durable, on the pool.
  absl::Status Complete();
  void End(const absl::Status& status);

  const std::shared_ptr<Call> call_;
  const Rpc* const rpc_;
  const Backend& backend_;
  ByteBudget* const streams_;
  std::shared_ptr<UploadStream> self_;
  bool counted_ = false;
  std::string push_id_;
  v1::UploadImagesRequest incoming_;
  std::unique_ptr<store::BlobBatch> batch_;
  v1::UploadImagesResponse result_;
  // The image that is coming in.
  std::string image_;
  int64_t image_bytes_ = 0;
  std::unique_ptr<Sha256> image_digest_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // gRPC's, gone soon after the end; `result_` is filled meanwhile.
  v1::UploadImagesResponse* const reply_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace promptd::server
