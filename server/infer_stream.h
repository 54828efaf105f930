// ModelStreamInfer: requests come in, answers go out as they are ready.
#pragma once

#include <deque>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "inference/inference.pb.h"
#include "server/backend.h"
#include "server/call.h"
#include "server/infer_statistics.h"
#include "server/rpc.h"

namespace promptd::server {

class InferStream;

// The streams that are open, so that a shutdown does not wait for clients that
// keep one open. Thread-safe.
class InferStreams {
 public:
  explicit InferStreams(size_t most) : most_(most) {}

  // RESOURCE_EXHAUSTED (TOO_MANY_STREAMS); UNAVAILABLE (SHUTTING_DOWN).
  absl::Status Add(const std::shared_ptr<InferStream>& stream);
  void Remove(const std::shared_ptr<InferStream>& stream);
  // Ends all of them and lets no more in.
  void Drain();

 private:
  const size_t most_;
  absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<InferStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

// Owns itself until gRPC is done with it. At most kMostOpen requests of a
// stream are in memory, from when they are read until their answers are
// written: a client that does not read is not read from. Thread-safe.
class InferStream
    : public grpc::ServerBidiReactor<inference::ModelInferRequest,
                                     inference::ModelStreamInferResponse> {
 public:
  static constexpr int kMostOpen = 32;

  // Never null; problems end the stream with their status. `end_on_error`: the
  // first error is the stream's. The pointers are borrowed.
  static InferStream* Start(std::shared_ptr<Call> call, const Rpc* rpc,
                            const Backend* backend,
                            InferStatisticsTable* statistics,
                            InferStreams* streams, bool end_on_error);

  void Drain();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  struct Item {
    inference::ModelInferRequest request;
    inference::ModelStreamInferResponse response;
  };

  InferStream(std::shared_ptr<Call> call, const Rpc* rpc,
              const Backend* backend, InferStatisticsTable* statistics,
              InferStreams* streams, bool end_on_error);
  void Run(const std::shared_ptr<Item>& item);
  void Answer(const std::shared_ptr<Item>& item, const absl::Status& status);
  void ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Call> call_;
  const Rpc* const rpc_;
  const Backend* const backend_;
  InferStatisticsTable* const statistics_;
  InferStreams* const streams_;
  const bool end_on_error_;
  std::shared_ptr<InferStream> self_;
  absl::Mutex mutex_;
  std::shared_ptr<Item> incoming_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  // The first one is being written.
  std::deque<std::shared_ptr<Item>> answers_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace promptd::server
