// The load generator's command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/load/arrivals.h"

namespace promptd::load {

enum class Api { kClassify, kInfer, kStream, kInferStream };

// Of Open Inference, which knows models and tensors.
inline bool IsInfer(Api api) {
  return api == Api::kInfer || api == Api::kInferStream;
}
inline bool IsStream(Api api) {
  return api == Api::kStream || api == Api::kInferStream;
}

struct VersionRange {
  int64_t first = 0;
  int64_t last = 0;
};

// What is asked for.
struct RequestOptions {
  Api api = Api::kClassify;
  std::string tenant;  // whose; empty: the server's default
  std::string name;    // the task, or the model
  std::string input;   // the model's tensor; empty: the first that fits
  std::string alias;   // of the task
  std::optional<VersionRange> versions;
  int top_k = 0;
  int images_per_request = 1;
  bool shared_memory = false;  // images lie there, requests name the place
};

// Which images are sent.
struct ImageOptions {
  std::vector<std::string> paths;  // JPEG files, or folders of them
  bool pixels = false;             // random float32 pixels instead
  int distinct = 0;                // 0: as many as there are
  bool fresh = false;              // no two images sent are the same bytes
  bool by_digest = false;          // named by SHA-256, once they were sent
};

// How fast they are sent, and for how long.
struct PaceOptions {
  int concurrency = 1;  // of a closed loop
  double rate = 0;      // of an open loop, requests a second; 0: closed
  ArrivalPattern pattern = ArrivalPattern::kPoisson;
  int max_outstanding = 1024;  // of an open loop
  absl::Duration warmup;
  absl::Duration length;
  absl::Duration deadline;  // of a request; zero: none
};

struct Options {
  std::string target;
  int channels = 1;
  uint64_t seed = 1;
  RequestOptions request;
  ImageOptions images;
  PaceOptions pace;
};

// Prints the help, or what is wrong, and returns the exit code when the
// program is to end.
struct ParsedOptions {
  Options options;
  std::optional<int> exit_code;
};
ParsedOptions ParseOptions(int argc, char** argv);

}  // namespace promptd::load
