#include "worker/device_loop.h"

#include <utility>

#include <c10/core/GradMode.h>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/error.h"
#include "common/scheduling.h"
#include "common/status_macros.h"

namespace promptd::worker {
namespace {

// No unit of a turn begins later: a job looks about itself between its turns.
constexpr absl::Duration kTurn = absl::Milliseconds(50);

}  // namespace

DeviceLoop::DeviceLoop() : thread_([this] { Loop(); }) {}

DeviceLoop::~DeviceLoop() { Stop(); }

bool DeviceLoop::PostServing(std::function<void()> unit) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  serving_.push_back(std::move(unit));
  return true;
}

bool DeviceLoop::OthersWait() const {
  absl::MutexLock lock(&mutex_);
  return !serving_.empty() || !training_.empty();
}

absl::Status DeviceLoop::RunServing(absl::FunctionRef<absl::Status()> unit) {
  return RunIn(&serving_, unit);
}

absl::Status DeviceLoop::RunTraining(absl::FunctionRef<absl::Status()> unit) {
  return RunIn(&training_, unit);
}

absl::Status DeviceLoop::RunTrainingTurn(
    absl::FunctionRef<absl::StatusOr<bool>()> unit) {
  return RunTraining([&]() -> absl::Status {
    const absl::Time end = absl::Now() + kTurn;
    bool more = true;
    while (more) {
      ASSIGN_OR_RETURN(more, unit());
      more = more && !OthersWait() && absl::Now() < end;
    }
    return absl::OkStatus();
  });
}

absl::Status DeviceLoop::RunIn(std::deque<std::function<void()>>* queue,
                               absl::FunctionRef<absl::Status()> unit) {
  absl::Status result;
  absl::Notification ran;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                       "the worker is shutting down");
    }
    queue->push_back([&] {
      result = unit();
      ran.Notify();
    });
  }
  ran.WaitForNotification();
  return result;
}

void DeviceLoop::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

bool DeviceLoop::HasWork() const {
  return stopping_ || !serving_.empty() || !training_.empty();
}

void DeviceLoop::Loop() {
  YieldToAnswering();
  // Thread-local. Not inference mode: features made here also feed training.
  const c10::NoGradGuard no_grad;
  while (true) {
    std::function<void()> unit;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &DeviceLoop::HasWork));
      std::deque<std::function<void()>>& queue =
          serving_.empty() ? training_ : serving_;
      if (queue.empty()) return;  // stopping, and nothing is left
      unit = std::move(queue.front());
      queue.pop_front();
    }
    unit();
  }
}

}  // namespace promptd::worker
