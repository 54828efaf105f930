// The command line and environment of promptd.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/address.h"
#include "wire/program_flags.h"
#include "wire/tls.h"
#include "wire/worker_token.h"

namespace promptd::server {

struct ProgramOptions : wire::WorkerTuning {
  std::string data_dir;
  Address listen;
  std::optional<Address> http;  // none: no HTTP
  std::vector<std::string> encoder_dirs;
  std::string default_encoder;
  std::string ready_file;
  absl::Duration grace;
  absl::Duration lease;
  std::optional<Address> worker_listen;  // none: no workers from elsewhere
  std::optional<wire::WorkerToken> worker_token;
  std::optional<wire::TlsIdentity> worker_tls;
  bool local_worker = true;
  int64_t max_blob_bytes = 0;        // 0: no bound
  int tenant_running_jobs = 0;       // 0: no bound
  absl::Duration gc_interval;        // 0: never by itself
  absl::Duration feature_retention;  // infinite: for ever
  int64_t max_database_cache_bytes = 0;
  bool allow_network_file_system = false;
  std::string log_level;
};

// Fills `options` from the command line, else the environment (PROMPTD_*),
// else the defaults. Returns the exit code when the program has nothing more
// to do: 0 after --help or --version (printed), 2 after a mistake (explained
// on standard error). Also refuses to listen beyond loopback without
// --insecure-allow-remote. Call from main.
std::optional<int> ParseProgramOptions(int argc, const char* const* argv,
                                       ProgramOptions* options);

}  // namespace promptd::server
