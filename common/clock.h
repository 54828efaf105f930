// Time as a dependency, so that leases and deadlines are testable.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace promptd {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;

  // The machine's clock. Lives for ever.
  static Clock* Real();
};

}  // namespace promptd
