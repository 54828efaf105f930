// What the command lines of promptd and promptd-worker have in common.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/address.h"
#include "common/precision.h"
#include "worker/local_worker.h"

namespace CLI {
class App;
}

namespace promptd::wire {

// How a worker computes.
struct WorkerTuning {
  int threads = 0;                                     // 0: one per core
  int64_t embedding_cache_bytes = int64_t{256} << 20;  // 0: no cache
  int max_batch = 32;                                  // images
  absl::Duration max_batch_time = absl::Seconds(1);
  int queue_images = 1024;  // of all tenants
  int tenant_queue_images = 512;
  Precision precision = Precision::kFloat32;
  std::string device = "auto";  // as the user wrote it
};

// The same as typed, before it is understood.
struct TuningFlags {
  WorkerTuning tuning;
  std::string max_batch_time = "1s";
  int tenant_queue_images = 0;
  std::string precision = PrecisionName(Precision::kFloat32);
};

// Environment variables are PREFIX_DEVICE and so on.
void DeclareTuning(const std::string& prefix, TuningFlags* flags,
                   CLI::App* app);
absl::StatusOr<WorkerTuning> UnderstandTuning(const TuningFlags& flags);

// --log-level, and PREFIX_LOG_LEVEL.
void DeclareLogLevel(const std::string& prefix, std::string* level,
                     CLI::App* app);

// Sets the threads up, finds the device and logs it; the options of a worker
// on it, without encoders. Call once. Errors of FindComputeDevice.
absl::StatusOr<worker::LocalWorkerOptions> ConfigureWorker(
    const WorkerTuning& tuning);

// A duration from `least` to a day. INVALID_ARGUMENT (INVALID_DURATION).
absl::StatusOr<absl::Duration> ParsePositive(const std::string& flag,
                                             const std::string& text,
                                             absl::Duration least);

// Where to listen. FAILED_PRECONDITION (REMOTE_NOT_ALLOWED) for an address that
// other machines reach, unless `allow_remote`; INVALID_ARGUMENT
// (INVALID_ADDRESS).
absl::StatusOr<Address> ParseListener(const std::string& flag,
                                      const std::string& text,
                                      bool allow_remote);

// An error as the user of a program reads it, e.g. on a failed start.
std::string FormatStartError(const absl::Status& status);

}  // namespace promptd::wire
