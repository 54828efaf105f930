// Sends requests at the pace asked for and counts the answers.
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/request_maker.h"
#include "bench/load/tally.h"

namespace promptd::load {

// Uses the calling thread. After the measured time it waits for what is under
// way, 30 seconds at most, then cancels it. `channels` must not be empty.
LoadResult RunLoad(const PaceOptions& pace, uint64_t seed,
                   const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                   RequestMaker* requests);

}  // namespace promptd::load
