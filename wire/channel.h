// Connections between our own processes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "wire/tls.h"
#include "wire/worker_token.h"

namespace promptd::wire {

// A call's images, or the scores of all their heads.
inline constexpr int kMaxMessageBytes = 256 << 20;
inline constexpr int kKeepaliveMs = 10'000;
inline constexpr int kKeepaliveTimeoutMs = 5'000;

// A connection of its own to "HOST:PORT"; made at the first call, and again,
// within a second, when it is lost.
std::shared_ptr<grpc::Channel> Connect(
    const std::string& address, const std::optional<TlsIdentity>& tls = {});

// Connections whose calls end in gRPC's callbacks. A call holds its connection
// until its callback has returned, and who frees the last one of a process that
// serves nothing any more joins gRPC's threads: one of these would join itself
// (gRPC 1.51 aborts). So this holds them too, and lets go last. Thread-safe.
class Channels {
 public:
  Channels() = default;
  // Waits for the calls under way: end them first.
  ~Channels();
  Channels(const Channels&) = delete;
  Channels& operator=(const Channels&) = delete;

  std::shared_ptr<grpc::Channel> Connect(
      const std::string& address, const std::optional<TlsIdentity>& tls = {});
  // Closes those that nobody holds but this; whether there are others.
  bool Prune();

 private:
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mutex_);
};

// Token and deadline of one call; it is not queued for a connection that is
// not there.
void Prepare(const WorkerToken& token, absl::Time deadline,
             grpc::ClientContext* context);

}  // namespace promptd::wire
