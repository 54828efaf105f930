// The command line and environment of promptd-worker.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/address.h"
#include "wire/program_flags.h"
#include "wire/tls.h"
#include "wire/worker_token.h"

namespace promptd::wire {

struct WorkerOptions : WorkerTuning {
  Address frontend;
  Address listen;
  std::string advertise;  // HOST:PORT; empty: where it listens
  std::string id;         // empty: made of the host's name and the port
  std::optional<WorkerToken> token;
  std::optional<TlsIdentity> tls;
  std::vector<std::string> encoder_dirs;
  std::string data_dir;
  std::string blobs_dir;  // shared with the front end; empty: not shared
  int64_t blob_cache_bytes = int64_t{4} << 30;
  std::string ready_file;
  std::optional<Address> http;  // none: no HTTP
  absl::Duration grace;
  absl::Duration checkpoint_interval;
  std::string log_level;
};

// As server::ParseProgramOptions, for promptd-worker; variables are
// PROMPTD_WORKER_*.
std::optional<int> ParseWorkerOptions(int argc, const char* const* argv,
                                      WorkerOptions* options);

// The id of a worker that was given none: "HOST-PORT" in the characters of an
// id.
std::string DefaultWorkerId(int port);

}  // namespace promptd::wire
