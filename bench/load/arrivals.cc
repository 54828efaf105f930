#include "bench/load/arrivals.h"

namespace promptd::load {

Arrivals::Arrivals(ArrivalPattern pattern, double rate, uint64_t seed)
    : pattern_(pattern), rate_(rate), random_(seed), gap_(rate) {}

absl::Duration Arrivals::Next() {
  if (pattern_ == ArrivalPattern::kFixed) {
    return absl::Seconds(static_cast<double>(made_++) / rate_);
  }
  seconds_ += gap_(random_);
  return absl::Seconds(seconds_);
}

}  // namespace promptd::load
