#include "server/infer_statistics.h"

#include <algorithm>

namespace promptd::server {
namespace {

void Add(absl::Duration elapsed, inference::StatisticDuration* out) {
  out->set_count(out->count() + 1);
  out->set_ns(out->ns() + static_cast<uint64_t>(std::max<int64_t>(
                              0, absl::ToInt64Nanoseconds(elapsed))));
}

}  // namespace

inference::ModelStatistics& InferStatisticsTable::Entry(
    const std::string& model, const std::string& version) {
  Key key{model, version};
  if (entries_.size() >= most_ && !entries_.contains(key))
    key = {"_other", "1"};
  inference::ModelStatistics& entry = entries_[key];
  entry.set_name(key.first);
  entry.set_version(key.second);
  return entry;
}

void InferStatisticsTable::Succeeded(const std::string& model,
                                     const std::string& version, int64_t rows,
                                     absl::Duration total,
                                     const worker::StageTimings& timings,
                                     absl::Time now) {
  absl::MutexLock lock(&mutex_);
  inference::ModelStatistics& entry = Entry(model, version);
  entry.set_last_inference(static_cast<uint64_t>(absl::ToUnixMillis(now)));
  entry.set_inference_count(entry.inference_count() +
                            static_cast<uint64_t>(rows));
  // Batches form across models, so one model's share of them is its requests.
  entry.set_execution_count(entry.execution_count() + 1);
  inference::InferStatistics& stats = *entry.mutable_inference_stats();
  Add(total, stats.mutable_success());
  Add(timings.queue, stats.mutable_queue());
  Add(timings.decode, stats.mutable_compute_input());
  Add(timings.encode, stats.mutable_compute_infer());
  Add(timings.head, stats.mutable_compute_output());
}

void InferStatisticsTable::Failed(const std::string& model,
                                  const std::string& version,
                                  absl::Duration total) {
  absl::MutexLock lock(&mutex_);
  Add(total, Entry(model, version).mutable_inference_stats()->mutable_fail());
}

void InferStatisticsTable::Append(
    const std::string& model, const std::string& version,
    inference::ModelStatisticsResponse* out) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, entry] : entries_) {
    if (!model.empty() && key.first != model) continue;
    if (!version.empty() && key.second != version) continue;
    *out->add_model_stats() = entry;
  }
}

}  // namespace promptd::server
