// Keeps streams of requests full and counts the answers.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/request_maker.h"
#include "bench/load/tally.h"

namespace promptd::load {

// A ClassifyStream on each channel; `pace.concurrency` items are always under
// way, shared among them. Otherwise as RunLoad. A stream that ends is not
// opened again: its items have failed with its status, and once the last one
// has ended the run is over.
LoadResult RunStreams(
    const PaceOptions& pace,
    const std::vector<std::shared_ptr<grpc::Channel>>& channels,
    RequestMaker* requests);

}  // namespace promptd::load
