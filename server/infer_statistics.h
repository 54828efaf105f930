// What ModelStatistics tells: per model and version, cumulative since promptd
// started.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "inference/inference.pb.h"
#include "worker/executor.h"

namespace promptd::server {

// Thread-safe. Models beyond `most` are counted together under the name
// "_other", so that the table stays bounded.
class InferStatisticsTable {
 public:
  explicit InferStatisticsTable(size_t most = 4096) : most_(most) {}

  void Succeeded(const std::string& model, const std::string& version,
                 int64_t rows, absl::Duration total,
                 const worker::StageTimings& timings, absl::Time now);
  void Failed(const std::string& model, const std::string& version,
              absl::Duration total);

  // Appends the model's entries, of one version or of all; empty `model`: of
  // all models. By name and version.
  void Append(const std::string& model, const std::string& version,
              inference::ModelStatisticsResponse* out) const;

 private:
  using Key = std::pair<std::string, std::string>;
  inference::ModelStatistics& Entry(const std::string& model,
                                    const std::string& version)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t most_;
  mutable absl::Mutex mutex_;
  std::map<Key, inference::ModelStatistics> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server
