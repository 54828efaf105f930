#include "server/watch_loop.h"

#include <exception>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/log.h"

namespace promptd::server {

WatchLoop::WatchLoop(jobs::JobStore* jobs, size_t max_watchers)
    : max_watchers_(max_watchers),
      subscription_(jobs->Subscribe([this](int64_t job) { Notify(job); })),
      thread_([this] { Run(); }) {}

WatchLoop::~WatchLoop() {
  subscription_.reset();
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

absl::Status WatchLoop::Add(const std::shared_ptr<Watcher>& watcher) {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                     "the server is shutting down: watch again once it is "
                     "back, from the next sequence number");
  }
  if (watchers_.size() >= max_watchers_) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                     absl::StrCat("at most ", max_watchers_,
                                  " watches run at once: end some, or poll "
                                  "with GetTrainingJob"));
  }
  watchers_[watcher.get()] = watcher;
  due_.insert(watcher.get());
  return absl::OkStatus();
}

void WatchLoop::Remove(const Watcher* watcher) {
  absl::MutexLock lock(&mutex_);
  watchers_.erase(watcher);
  due_.erase(watcher);
}

void WatchLoop::Wake(const Watcher* watcher) {
  absl::MutexLock lock(&mutex_);
  if (watchers_.count(watcher) != 0) due_.insert(watcher);
}

void WatchLoop::Notify(int64_t job) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, watcher] : watchers_) {
    if (watcher->job() == job) due_.insert(key);
  }
}

void WatchLoop::Drain() {
  std::vector<std::shared_ptr<Watcher>> all;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    for (const auto& [key, watcher] : watchers_) all.push_back(watcher);
  }
  for (const auto& watcher : all) watcher->Drain();
}

void WatchLoop::Run() {
  while (true) {
    std::shared_ptr<Watcher> watcher;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &WatchLoop::HasWork));
      if (stopped_) return;
      const Watcher* key = *due_.begin();
      due_.erase(due_.begin());
      const auto it = watchers_.find(key);
      if (it == watchers_.end()) continue;
      watcher = it->second;
    }
    try {
      watcher->Pump();
    } catch (const std::exception& error) {
      LogEvent(spdlog::level::err, "watch_failed", {{"error", error.what()}});
      watcher->Drain();
    }
  }
}

}  // namespace promptd::server
