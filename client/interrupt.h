// Ctrl-C: what must happen before promptctl leaves with exit code 130.
//
//   InterruptWatcher watcher;              // first thing in main
//   OnInterrupt action([&] { server.Kill(); });
//
// The watcher blocks SIGINT and SIGTERM in the calling thread and in every
// thread started after it, and waits for them in a thread of its own. There
// the live actions run, newest first, and the process ends. An action may do
// anything but throw; it must not wait for the thread that it interrupts.
#pragma once

#include <functional>
#include <thread>

namespace promptd::client {

class InterruptWatcher {
 public:
  InterruptWatcher();
  ~InterruptWatcher();
  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

 private:
  std::thread thread_;
};

// Registers `action` for its own lifetime. Lifetimes nest: the last one made
// is the first one destroyed.
class OnInterrupt {
 public:
  explicit OnInterrupt(std::function<void()> action);
  // Waits for an action that is already running, so that what it uses lives.
  ~OnInterrupt();
  OnInterrupt(const OnInterrupt&) = delete;
  OnInterrupt& operator=(const OnInterrupt&) = delete;
};

}  // namespace promptd::client
