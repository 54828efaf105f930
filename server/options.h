// The command line and environment of promptd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/precision.h"
#include "server/address.h"

namespace promptd::server {

struct ProgramOptions {
  std::string data_dir;
  Address listen;
  std::optional<Address> http;  // none: no HTTP
  std::vector<std::string> encoder_dirs;
  std::string default_encoder;
  std::string ready_file;
  absl::Duration grace;
  absl::Duration lease;
  int threads = 0;                                     // 0: one per core
  int64_t embedding_cache_bytes = int64_t{256} << 20;  // 0: no cache
  int max_batch = 32;                                  // images
  absl::Duration max_batch_time = absl::Milliseconds(250);
  int queue_images = 1024;  // of all tenants
  int tenant_queue_images = 512;
  int64_t max_blob_bytes = 0;   // 0: no bound
  int tenant_running_jobs = 0;  // 0: no bound
  bool allow_network_file_system = false;
  Precision precision = Precision::kFloat32;
  std::string device;  // as the user wrote it
  std::string log_level;
};

// Fills `options` from the command line, else the environment (PROMPTD_*),
// else the defaults. Returns the exit code when the program has nothing more
// to do: 0 after --help or --version (printed), 2 after a mistake (explained
// on standard error). Also refuses to listen beyond loopback without
// --insecure-allow-remote. Call from main.
std::optional<int> ParseProgramOptions(int argc, const char* const* argv,
                                       ProgramOptions* options);

// An error as promptd's user reads it, e.g. on a failed start.
std::string FormatStartError(const absl::Status& status);

}  // namespace promptd::server
