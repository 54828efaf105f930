// Logs as JSON lines on standard error, through spdlog.
//
//   const Log log("info");  // in main
//   LogEvent(spdlog::level::info, "rpc", {{"method", "Classify"}});
//
// Other rooms may log plain text with spdlog: it becomes the field "message".
// Thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "nlohmann/json.hpp"
#include "spdlog/common.h"

namespace spdlog {
class logger;
}
namespace spdlog::details {
class thread_pool;
}

namespace promptd {

// While it lives, spdlog's default logger writes JSON lines to standard error
// from a thread of its own: who logs does not wait for a disk or a pipe, nor
// for a thread that writes and has lost its core. Lines come in their order;
// the destructor writes those that wait. When `kMostWaiting` do, who logs
// waits. A process that is killed or aborts loses those that wait.
class Log {
 public:
  static constexpr size_t kMostWaiting = 4096;

  // `level`: trace, debug, info, warning, error or off.
  explicit Log(const std::string& level);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

 private:
  const std::shared_ptr<spdlog::logger> before_;
  std::shared_ptr<spdlog::details::thread_pool> writer_;
};

// One line with "event" and the given fields (an object).
void LogEvent(spdlog::level::level_enum level, const std::string& event,
              const nlohmann::json& fields);

// The same, written when it returns and before those that wait: for what may be
// the last that a process says.
void LogEventNow(spdlog::level::level_enum level, const std::string& event,
                 const nlohmann::json& fields);

}  // namespace promptd
