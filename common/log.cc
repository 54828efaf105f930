#include "common/log.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/scheduling.h"
#include "spdlog/async_logger.h"
#include "spdlog/details/thread_pool.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace promptd {
namespace {

// Marks a payload that is already the inside of a JSON object. It cannot
// stand at the start of such text otherwise.
constexpr char kFieldsMark = '\x01';

std::string Dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The mark takes the place of the object's opening brace.
std::string Payload(const std::string& event, const nlohmann::json& fields) {
  return absl::StrCat(absl::string_view(&kFieldsMark, 1),
                      "\"event\":", Dump(event), fields.empty() ? "" : ",",
                      Dump(fields).substr(1));
}

class JsonLineFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message,
              spdlog::memory_buf_t& out) override {
    const absl::string_view payload(message.payload.data(),
                                    message.payload.size());
    const auto level = spdlog::level::to_string_view(message.level);
    std::string line = absl::StrCat(
        "{\"level\":\"", absl::string_view(level.data(), level.size()),
        "\",\"time\":\"",
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                         absl::UTCTimeZone()),
        "\",");
    if (absl::StartsWith(payload, absl::string_view(&kFieldsMark, 1))) {
      absl::StrAppend(&line, payload.substr(1));
    } else {
      absl::StrAppend(&line, "\"message\":", Dump(std::string(payload)), "}");
    }
    line += '\n';
    out.append(line.data(), line.data() + line.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonLineFormatter>();
  }
};

}  // namespace

Log::Log(const std::string& level)
    : before_(spdlog::default_logger()),
      writer_(std::make_shared<spdlog::details::thread_pool>(
          kMostWaiting, 1, YieldToAnswering)) {
  auto logger = std::make_shared<spdlog::async_logger>(
      "promptd", std::make_shared<spdlog::sinks::stderr_sink_mt>(), writer_,
      spdlog::async_overflow_policy::block);
  logger->set_formatter(std::make_unique<JsonLineFormatter>());
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
}

Log::~Log() {
  spdlog::set_default_logger(before_);
  writer_.reset();  // ends its thread behind the lines that wait
}

void LogEvent(spdlog::level::level_enum level, const std::string& event,
              const nlohmann::json& fields) {
  if (!spdlog::should_log(level)) return;
  const std::string text = Payload(event, fields);
  spdlog::log(level, spdlog::string_view_t(text));
}

void LogEventNow(spdlog::level::level_enum level, const std::string& event,
                 const nlohmann::json& fields) {
  if (!spdlog::should_log(level)) return;
  const std::shared_ptr<spdlog::logger> logger = spdlog::default_logger();
  const std::string text = Payload(event, fields);
  for (const spdlog::sink_ptr& sink : logger->sinks()) {
    sink->log(spdlog::details::log_msg(logger->name(), level, text));
  }
}

}  // namespace promptd
