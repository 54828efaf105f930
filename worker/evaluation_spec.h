// What an evaluation job scores, with everything resolved. The form in which
// the job is stored (canonical JSON) and handed to a worker.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/training_options.h"

namespace promptd::worker {

// Immutable once a job exists. Field meanings: promptd.v1.EvaluationSpec.
struct EvaluationSpec {
  std::string task;
  int64_t version = 0;
  std::string features_digest;  // blob of the version's text features
  std::string dataset;
  std::string dataset_digest;
  std::string encoder;
  std::string encoder_digest;
  std::string split;  // "test" or "val"
  ClassSubset class_subset = ClassSubset::kAll;
  // Row of the version's text features for each of the dataset's classes that
  // take part: only those compete.
  std::vector<int64_t> class_rows;
  std::vector<std::string> templates;

  friend bool operator==(const EvaluationSpec&,
                         const EvaluationSpec&) = default;
};

// Canonical JSON: fixed key order. Equal specs give equal bytes.
std::string EvaluationSpecToJson(const EvaluationSpec& spec);

// INTERNAL (BAD_STORED_SPEC) when the JSON is not one that we wrote.
absl::StatusOr<EvaluationSpec> EvaluationSpecFromJson(absl::string_view json);

}  // namespace promptd::worker
