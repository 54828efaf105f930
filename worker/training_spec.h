// What to train, with every hyper-parameter resolved. The form in which a job
// is stored (canonical JSON) and handed to a worker.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/training_options.h"

namespace promptd::worker {

// Immutable once a job exists. Field meanings: promptd.v1.TrainingSpec.
struct TrainingSpec {
  std::string task;
  std::string dataset;
  std::string dataset_digest;
  std::string encoder;
  std::string encoder_digest;
  std::string method = "coop";
  int shots = 16;
  int context_tokens = 16;   // M
  std::string context_init;  // empty: N(0, 0.02^2)
  int epochs = 200;          // 0: the initial context as it is
  int batch_size = 32;
  double learning_rate = 0.002;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  int warmup_epochs = 1;
  double warmup_learning_rate = 1e-5;
  int64_t seed = 1;
  std::vector<std::string> templates;
  ClassPosition class_position = ClassPosition::kEnd;
  bool class_specific = false;
  int views = 1;  // 0: a fresh one each epoch
  Selection selection = Selection::kLastStep;
  ClassSubset class_subset = ClassSubset::kAll;
  // The version to start from, and its context's blob; empty: none. A context
  // that was uploaded has a blob and no version.
  std::string initial_task;
  int64_t initial_version = 0;
  std::string initial_context_digest;
  // The job and the number of its checkpoint whose context that is; 0: none.
  int64_t initial_job = 0;
  int initial_checkpoint = 0;
  // Without a dataset: the classes that the initial context is applied to.
  std::vector<std::string> class_names;
  // Of the methods that start from text features.
  std::vector<std::string> text_templates;
  // Of a linear probe; 0: chosen on validation images.
  double inverse_regularization = 0;

  friend bool operator==(const TrainingSpec&, const TrainingSpec&) = default;
};

// Canonical JSON: fixed key order, shortest round-trip numbers. Equal specs
// give equal bytes.
std::string TrainingSpecToJson(const TrainingSpec& spec);

// A specification of an earlier promptd has fewer members; what is missing has
// the value that it stood for. INTERNAL (BAD_STORED_SPEC) when the JSON is not
// one that we wrote.
absl::StatusOr<TrainingSpec> TrainingSpecFromJson(absl::string_view json);

}  // namespace promptd::worker
