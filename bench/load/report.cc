#include "bench/load/report.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace promptd::load {
namespace {

double Milliseconds(absl::Duration duration) {
  return absl::ToDoubleMilliseconds(duration);
}

nlohmann::ordered_json Percentiles(const Histogram& histogram) {
  return {{"p50", Milliseconds(histogram.Percentile(0.5))},
          {"p90", Milliseconds(histogram.Percentile(0.9))},
          {"p99", Milliseconds(histogram.Percentile(0.99))},
          {"max", Milliseconds(histogram.max())}};
}

double ImagesPerSecond(const LoadResult& result) {
  if (result.images == 0) return 0;
  return static_cast<double>(result.images) /
         absl::ToDoubleSeconds(result.images_time);
}

}  // namespace

std::string JsonReport(const Options& options, const LoadResult& result) {
  const PaceOptions& pace = options.pace;
  nlohmann::ordered_json json;
  if (pace.rate > 0) {
    json["rate"] = pace.rate;
  } else {
    json["concurrency"] = pace.concurrency;
  }
  json["seconds"] = absl::ToDoubleSeconds(pace.length);
  json["deadline_ms"] = Milliseconds(pace.deadline);
  json["requests"] = result.requests;
  json["ok"] = result.ok;
  json["not_sent"] = result.not_sent;
  json["by_code"] = result.by_code;
  json["image_errors"] = result.image_errors;
  json["images_in_all"] = result.images_in_all;
  json["images_per_second"] = ImagesPerSecond(result);
  json["latency_ms"] = Percentiles(result.latency);
  json["late"] = result.late;
  json["rejected"] = result.rejection.count();
  json["rejection_p99_ms"] = Milliseconds(result.rejection.Percentile(0.99));
  json["rejection_since_sent_p99_ms"] =
      Milliseconds(result.rejection_since_sent.Percentile(0.99));
  json["send_lag_p99_ms"] = Milliseconds(result.send_lag.Percentile(0.99));
  json["first_error"] = result.first_error;
  return json.dump();
}

std::string ReadableReport(const Options& options, const LoadResult& result) {
  const Histogram& latency = result.latency;
  std::string line = absl::StrFormat(
      "%.1f images/s; %d requests, %d ok; latency p50 %.1f ms, p90 %.1f, p99 "
      "%.1f, max %.1f",
      ImagesPerSecond(result), result.requests, result.ok,
      Milliseconds(latency.Percentile(0.5)),
      Milliseconds(latency.Percentile(0.9)),
      Milliseconds(latency.Percentile(0.99)), Milliseconds(latency.max()));
  if (result.not_sent > 0)
    absl::StrAppend(&line, "; ", result.not_sent, " not sent");
  if (result.late > 0) absl::StrAppend(&line, "; ", result.late, " late");
  for (const auto& [code, count] : result.by_code) {
    if (code != "OK") absl::StrAppend(&line, "; ", count, " ", code);
  }
  if (!result.first_error.empty()) {
    absl::StrAppend(&line, "; first error: ", result.first_error);
  }
  return line;
}

}  // namespace promptd::load
