// Which worker an image goes to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "wire/route_target.h"

namespace promptd::wire {

// A number that the bytes decide alone, in every process: for routing, not for
// security.
uint64_t RoutingHash(absl::string_view bytes);

// The targets in the order in which they are to be asked.
//
// Each key ranks the targets by a hash of both (rendezvous hashing): the same
// image goes to the same worker, which has its feature cached, and when a
// worker goes only its images move. A target whose load would pass 1.25 times
// the mean goes behind the others: a picture that everybody sends does not
// overload one worker. What weighs nothing goes where its key says, however
// loaded that is.
std::vector<std::shared_ptr<RouteTarget>> RankByHash(
    std::vector<std::shared_ptr<RouteTarget>> targets, uint64_t key,
    int64_t weight);

// The least loaded first.
std::vector<std::shared_ptr<RouteTarget>> RankByLoad(
    std::vector<std::shared_ptr<RouteTarget>> targets);

}  // namespace promptd::wire
