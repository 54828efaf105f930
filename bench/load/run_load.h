// Sends requests at the pace asked for and counts the answers.
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/histogram.h"
#include "bench/load/options.h"
#include "bench/load/request_maker.h"

namespace promptd::load {

// Of the requests that were due in the measured time.
struct LoadResult {
  int64_t requests = 0;  // due, sent or not
  int64_t ok = 0;
  int64_t not_sent = 0;  // too many were under way
  std::map<std::string, int64_t> by_code;
  int64_t image_errors = 0;  // in replies that are OK
  // Images answered within the measured time, whenever they were sent.
  int64_t images = 0;
  int64_t images_in_all = 0;  // those of the warm-up and of the end too
  int64_t late = 0;           // OK, but after the deadline
  // From when a request was due until its answer: of replies that are OK, and
  // of those refused (RESOURCE_EXHAUSTED, UNAVAILABLE, or DEADLINE_EXCEEDED
  // before the deadline).
  Histogram latency;
  Histogram rejection;
  Histogram send_lag;  // how late the generator itself was
  std::string first_error;
};

// Uses the calling thread. After the measured time it waits for what is under
// way, 30 seconds at most, then cancels it. `channels` must not be empty.
LoadResult RunLoad(const PaceOptions& pace, uint64_t seed,
                   const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                   RequestMaker* requests);

}  // namespace promptd::load
