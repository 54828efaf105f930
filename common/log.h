// Logs as JSON lines on standard error, through spdlog.
//
//   LogEvent(spdlog::level::info, "rpc", {{"method", "Classify"}});
//
// Other rooms may log plain text with spdlog: it becomes the field "message".
// Thread-safe.
#pragma once

#include <string>

#include "nlohmann/json.hpp"
#include "spdlog/common.h"

namespace promptd {

// Makes spdlog's default logger write JSON lines to standard error.
// `level`: trace, debug, info, warning, error or off. Call once, from main.
void ConfigureLog(const std::string& level);

// One line with "event" and the given fields (an object).
void LogEvent(spdlog::level::level_enum level, const std::string& event,
              const nlohmann::json& fields);

}  // namespace promptd
