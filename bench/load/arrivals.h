// When the requests of an open loop are due, whatever the server does.
#pragma once

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace promptd::load {

enum class ArrivalPattern { kPoisson, kFixed };

// Thread-compatible.
class Arrivals {
 public:
  // `rate` is in requests a second, above 0. The same seed gives the same
  // times.
  Arrivals(ArrivalPattern pattern, double rate, uint64_t seed);

  // The next request's time from the start of the run; never decreases.
  absl::Duration Next();

 private:
  const ArrivalPattern pattern_;
  const double rate_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> gap_;
  double seconds_ = 0;
  int64_t made_ = 0;
};

}  // namespace promptd::load
