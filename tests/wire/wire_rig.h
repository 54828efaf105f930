// Both ends of a real connection on a free port, for tests of the room.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/work_pool.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_executor.h"
#include "tests/worker/fake_control.h"
#include "wire/attachment.h"
#include "wire/channel.h"
#include "wire/control_client.h"
#include "wire/control_service.h"
#include "wire/executor_service.h"
#include "wire/listener.h"
#include "wire/worker_registry.h"

namespace promptd::wire {

inline WorkerToken TestToken(const std::string& end = "") {
  return *WorkerToken::FromText("a-token-for-tests-only-no-secret" + end);
}

// Until `condition` holds; false after ten seconds.
template <typename Condition>
bool Eventually(const Condition& condition) {
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > limit) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

// What a front end was told. Thread-safe.
class FakeEvents : public RegistryEvents {
 public:
  absl::Status OnAttach(const WorkerHello& hello) override {
    absl::MutexLock lock(&mutex_);
    attached_.push_back(hello.id);
    return refusal_;
  }
  void OnDetach(const WorkerHello& hello,
                const std::vector<LeaseName>& leases) override {
    absl::MutexLock lock(&mutex_);
    detached_.push_back(hello.id);
    lost_.insert(lost_.end(), leases.begin(), leases.end());
  }

  void Refuse(const absl::Status& why) {
    absl::MutexLock lock(&mutex_);
    refusal_ = why;
  }
  std::vector<std::string> detached() const {
    absl::MutexLock lock(&mutex_);
    return detached_;
  }
  std::vector<LeaseName> lost() const {
    absl::MutexLock lock(&mutex_);
    return lost_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> attached_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> detached_ ABSL_GUARDED_BY(mutex_);
  std::vector<LeaseName> lost_ ABSL_GUARDED_BY(mutex_);
};

// A front end: a control served on a port.
class FrontEnd {
 public:
  explicit FrontEnd(worker::Control* control, int port = 0,
                    const RegistryOptions& options = {})
      : registry_(options, TestToken(), &events_),
        table_(MakeControlService(
            TestToken(),
            [this](std::function<void()> task) {
              return pool_.TrySubmit(std::move(task));
            },
            control, &registry_, absl::Seconds(3))) {
    auto listener = Listener::Start({"127.0.0.1", port}, {}, table_.get());
    EXPECT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }
  ~FrontEnd() {
    registry_.DetachAll();
    listener_.reset();
  }

  int port() const { return listener_->port(); }
  std::string address() const { return FormatAddress({"127.0.0.1", port()}); }
  WorkerRegistry& registry() { return registry_; }
  FakeEvents& events() { return events_; }

 private:
  FakeEvents events_;
  WorkerRegistry registry_;
  std::unique_ptr<MethodTable> table_;
  WorkPool pool_{4, 256};
  std::unique_ptr<Listener> listener_;
};

// A worker's port: an executor served.
class WorkerPort {
 public:
  explicit WorkerPort(worker::Executor* executor)
      : table_(MakeExecutorService(
            TestToken(),
            [this](std::function<void()> task) {
              return pool_.TrySubmit(std::move(task));
            },
            executor)) {
    auto listener = Listener::Start({"127.0.0.1", 0}, {}, table_.get());
    EXPECT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }
  std::string address() const {
    return FormatAddress({"127.0.0.1", listener_->port()});
  }
  // Without a word to those who wait.
  void Kill() { listener_->Shutdown(absl::InfinitePast()); }

 private:
  std::unique_ptr<MethodTable> table_;
  WorkPool pool_{4, 256};
  std::unique_ptr<Listener> listener_;
};

// A whole worker, but that it computes nothing.
class FakeWorker {
 public:
  FakeWorker(const std::string& id, const std::string& frontend,
             const WorkerToken& token = TestToken())
      : port_(&executor_),
        channel_(Connect(frontend)),
        control_({.retry_for = absl::Seconds(2)}, channel_, token, nullptr),
        attachment_(std::make_unique<Attachment>(
            AttachmentOptions{.beat_interval = absl::Milliseconds(20)},
            channel_, token, Hello(id), &control_,
            [this] { return executor_.Ready(); },
            [this](const absl::Status& why) {
              absl::MutexLock lock(&mutex_);
              refusal_ = why;
            })) {}

  testing::FakeExecutor& executor() { return executor_; }
  ControlClient& control() { return control_; }
  Attachment& attachment() { return *attachment_; }
  WorkerPort& port() { return port_; }
  absl::Status refusal() const {
    absl::MutexLock lock(&mutex_);
    return refusal_;
  }

 private:
  WorkerHello Hello(const std::string& id) const {
    return {id, port_.address(), "test", executor_.Encoders()};
  }

  mutable absl::Mutex mutex_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  testing::FakeExecutor executor_;
  WorkerPort port_;
  std::shared_ptr<grpc::Channel> channel_;
  ControlClient control_;
  std::unique_ptr<Attachment> attachment_;
};

}  // namespace promptd::wire
