// Seconds of every torch operator that this thread calls, by the operator's
// name; operators inside others belong to the outermost. For the profiles that
// benchmarks print.
//
//   const OpTimer timer;
//   step();
//   Print(timer.Times());
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace promptd::bench {

struct OpTime {
  double seconds = 0;
  int64_t calls = 0;
};

// Listens from its construction to its end; one at a time on a thread.
class OpTimer {
 public:
  OpTimer();
  ~OpTimer();
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;

  const std::map<std::string, OpTime>& Times() const;

 private:
  uint64_t handle_ = 0;
};

}  // namespace promptd::bench
