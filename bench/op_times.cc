#include "bench/op_times.h"

#include <ATen/record_function.h>

#include <chrono>
#include <memory>

namespace promptd::bench {
namespace {

using Clock = std::chrono::steady_clock;

thread_local std::map<std::string, OpTime> times;
thread_local int depth = 0;
thread_local Clock::time_point start;

std::unique_ptr<at::ObserverContext> OnBegin(const at::RecordFunction&) {
  if (depth++ == 0) start = Clock::now();
  return nullptr;
}

void OnEnd(const at::RecordFunction& function, at::ObserverContext*) {
  if (--depth > 0) return;
  const std::chrono::duration<double> seconds = Clock::now() - start;
  OpTime& time = times[function.name()];
  time.seconds += seconds.count();
  ++time.calls;
}

}  // namespace

OpTimer::OpTimer() {
  times.clear();
  handle_ =
      at::addThreadLocalCallback(at::RecordFunctionCallback(OnBegin, OnEnd)
                                     .scopes({at::RecordScope::FUNCTION}));
}

OpTimer::~OpTimer() { at::removeCallback(handle_); }

const std::map<std::string, OpTime>& OpTimer::Times() const { return times; }

}  // namespace promptd::bench
