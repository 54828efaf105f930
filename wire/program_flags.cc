#include "wire/program_flags.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "worker/compute_device.h"
#include "worker/runtime.h"

namespace promptd::wire {
namespace {

void DeclareServing(const std::string& prefix, TuningFlags* flags,
                    CLI::App* app) {
  app->add_option("--embedding-cache-bytes",
                  flags->tuning.embedding_cache_bytes,
                  "Memory for features of images that were classified or "
                  "embedded; such an image is not decoded or encoded again. "
                  "0: none")
      ->envname(prefix + "_EMBEDDING_CACHE_BYTES")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 50))
      ->capture_default_str();
  app->add_option("--max-batch", flags->tuning.max_batch,
                  "Images encoded at once, by all threads together")
      ->envname(prefix + "_MAX_BATCH")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("--max-batch-time", flags->max_batch_time,
                  "About how long one encode batch may take, measured: what "
                  "an image waits for that comes when a batch has just begun")
      ->envname(prefix + "_MAX_BATCH_TIME")
      ->capture_default_str();
  app->add_option("--queue-images", flags->tuning.queue_images,
                  "Images that may wait for their answers; calls beyond are "
                  "turned away")
      ->envname(prefix + "_QUEUE_IMAGES")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--tenant-queue-images", flags->tenant_queue_images,
                  "The same for the calls of one tenant; 0: half of them")
      ->envname(prefix + "_TENANT_QUEUE_IMAGES")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
}

}  // namespace

void DeclareLogLevel(const std::string& prefix, std::string* level,
                     CLI::App* app) {
  app->add_option("--log-level", *level,
                  "Logs are JSON lines on standard error")
      ->envname(prefix + "_LOG_LEVEL")
      ->check(
          CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
}

void DeclareTuning(const std::string& prefix, TuningFlags* flags,
                   CLI::App* app) {
  app->add_option("--threads", flags->tuning.threads,
                  "Threads of one computation; 0: one per core")
      ->envname(prefix + "_THREADS")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  DeclareServing(prefix, flags, app);
  app->add_option("--device", flags->tuning.device,
                  "Where the encoders compute: cpu, cuda, cuda:N (the N-th "
                  "device, from 0), or auto, which is the first CUDA device "
                  "where there is one and else the processor")
      ->envname(prefix + "_DEVICE")
      ->capture_default_str();
  app->add_option("--precision", flags->precision,
                  "What the encoders compute in: float32, or bfloat16, which "
                  "is faster on processors with bfloat16 instructions and "
                  "keeps features within a cosine of 0.999")
      ->envname(prefix + "_PRECISION")
      ->check(CLI::IsMember({PrecisionName(Precision::kFloat32),
                             PrecisionName(Precision::kBFloat16)}))
      ->capture_default_str();
}

absl::StatusOr<WorkerTuning> UnderstandTuning(const TuningFlags& flags) {
  WorkerTuning tuning = flags.tuning;
  ASSIGN_OR_RETURN(tuning.max_batch_time,
                   ParsePositive("--max-batch-time", flags.max_batch_time,
                                 absl::Milliseconds(1)));
  tuning.tenant_queue_images = flags.tenant_queue_images > 0
                                   ? flags.tenant_queue_images
                                   : (tuning.queue_images + 1) / 2;
  for (const Precision precision :
       {Precision::kFloat32, Precision::kBFloat16}) {
    if (flags.precision == PrecisionName(precision)) {
      tuning.precision = precision;
    }
  }
  return tuning;
}

absl::StatusOr<worker::LocalWorkerOptions> ConfigureWorker(
    const WorkerTuning& tuning) {
  worker::ConfigureCompute({.threads = tuning.threads});
  ASSIGN_OR_RETURN(const worker::ComputeDevice device,
                   worker::FindComputeDevice(tuning.device));
  LogEvent(spdlog::level::info, "device",
           {{"name", device.name},
            {"model", device.model},
            {"memory_bytes", device.memory_bytes}});
  if (tuning.precision == Precision::kBFloat16 && !device.fast_bfloat16) {
    LogEvent(spdlog::level::warn, "slow_precision",
             {{"message",
               "this device has no bfloat16 instructions: expect float32 "
               "to be faster"}});
  }
  worker::LocalWorkerOptions options;
  options.precision = tuning.precision;
  options.device = device.name;
  options.max_embedding_cache_bytes = tuning.embedding_cache_bytes;
  options.max_batch = tuning.max_batch;
  options.max_batch_time = tuning.max_batch_time;
  options.max_queued_images = tuning.queue_images;
  options.max_queued_images_of_tenant = tuning.tenant_queue_images;
  return options;
}

absl::StatusOr<absl::Duration> ParsePositive(const std::string& flag,
                                             const std::string& text,
                                             absl::Duration least) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < least ||
      duration > absl::Hours(24)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "INVALID_DURATION",
        absl::StrCat(flag, " ", text, ": give a duration from ",
                     absl::FormatDuration(least), " to 24h, e.g. 10s"));
  }
  return duration;
}

absl::StatusOr<Address> ParseListener(const std::string& flag,
                                      const std::string& text,
                                      bool allow_remote) {
  auto address = ParseAddress(text);
  if (!address.ok()) return Annotate(address.status(), flag);
  if (!allow_remote && !IsLoopback(address->host)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "REMOTE_NOT_ALLOWED",
        absl::StrCat(flag, " ", text,
                     " can be reached from other machines, and there is "
                     "neither TLS nor a key: listen on 127.0.0.1, or say "
                     "--insecure-allow-remote if the network is yours"));
  }
  return address;
}

std::string FormatStartError(const absl::Status& status) {
  return absl::StrCat("error: ", status.message(), "\n  ref   ",
                      ErrorReason(status), "\n");
}

}  // namespace promptd::wire
