// Named steps of the code at which a test makes this process fail: a write that
// does not fit, a kill between a commit and its reply, a heartbeat that waits.
//
//   PROMPTD_FAILPOINTS='blob.write=error(ENOSPC)@3;job.created=kill' promptd
//   ...
//
// A list of POINT=ACTION[@N[+]], set apart by ';'. ACTION is one of
//   error(WHAT)   the step fails: WHAT is an errno (ENOSPC) where the system
//                 would fail, a status (UNAVAILABLE) where a peer or a room
//                 would
//   kill          SIGKILL to this process
//   pause(5s)     the step takes so much longer
//   spoil         what is read is not what was written
// at the N-th time only (@3), from it on (@3+), or every time. The points, and
// which of error and spoil they know, are the table at the top of failpoint.cc.
//
// While nothing is armed a point costs one relaxed atomic load. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace promptd {

namespace internal {
extern std::atomic<bool> failpoints_armed;
int PassError(absl::string_view point);
absl::Status PassStatus(absl::string_view point);
void PassStep(absl::string_view point);
bool PassSpoils(absl::string_view point);
}  // namespace internal

// Whether any point is armed, for what only then has to be prepared.
inline bool FailpointsArmed() {
  return internal::failpoints_armed.load(std::memory_order_relaxed);
}

// For each kind of step, in the code under test: the errno that the step fails
// with, or 0; the status that it fails with (reason FAILPOINT), or OK; nothing,
// where all that can happen is a kill or a pause; whether what was read is to
// be damaged.
inline int FailpointError(absl::string_view point) {
  return FailpointsArmed() ? internal::PassError(point) : 0;
}
inline absl::Status FailpointStatus(absl::string_view point) {
  return FailpointsArmed() ? internal::PassStatus(point) : absl::OkStatus();
}
inline void FailpointStep(absl::string_view point) {
  if (FailpointsArmed()) internal::PassStep(point);
}
inline bool FailpointSpoils(absl::string_view point) {
  return FailpointsArmed() && internal::PassSpoils(point);
}
// Flips a bit in the middle of `bytes` when the point says so.
void FailpointDamage(absl::string_view point, std::string* bytes);

// Arms what the text lists, beside what is armed already; nothing of it after
// an error. INVALID_ARGUMENT (BAD_FAILPOINTS) says what is wrong.
absl::Status ArmFailpoints(absl::string_view text);
// And forgets all counts.
void DisarmFailpoints();

// Since the first point was armed.
struct FailpointCounts {
  int64_t passed = 0;  // how often the step was come to
  int64_t fired = 0;   // and how often it failed
};
FailpointCounts CountFailpoint(absl::string_view point);

// Every point's name, in order.
std::vector<std::string> FailpointNames();

// Told of each point as it is armed (`hit` 0) and fires, before it acts. Null:
// nobody. The log of a program; see ArmFailpointsFromEnvironment.
using FailpointLog = void (*)(absl::string_view point, absl::string_view action,
                              int64_t hit);
void SetFailpointLog(FailpointLog log);

}  // namespace promptd
