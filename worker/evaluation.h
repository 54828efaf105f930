// The result of scoring a prompt on a split, zero-shot beside it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::worker {

// Fractions are in 0..1.
struct Evaluation {
  struct ClassResult {
    std::string class_name;
    int64_t images = 0;
    double accuracy = 0;
    double zero_shot_accuracy = 0;
  };
  struct TemplateResult {
    std::string text;
    double accuracy = 0;
  };
  // Images of class `label` that were answered `answer`, as class indexes.
  struct ConfusionCount {
    int label = 0;
    int answer = 0;
    int64_t images = 0;
  };
  std::string split;  // "test" or "val"
  int64_t images = 0;
  double accuracy = 0;
  double macro_f1 = 0;
  double ece = 0;  // 15 equal-width confidence bins
  // Of the head, and the error that its probabilities would have without it; 0:
  // the head was not calibrated.
  double temperature = 0;
  double uncalibrated_ece = 0;
  double zero_shot_accuracy = 0;  // the best template's
  double zero_shot_macro_f1 = 0;
  double zero_shot_ece = 0;
  std::string zero_shot_template;
  // Of a job that selected by validation: the epoch whose parameter was taken
  // (from 1; 0: none was) and its accuracy on the validation images.
  int selected_epoch = 0;
  double validation_accuracy = 0;
  // Of a linear probe whose C was chosen by them; 0: none was.
  double inverse_regularization = 0;
  std::vector<ClassResult> classes;
  std::vector<TemplateResult> templates;
  // The confusion matrix without its zeros, by label, then by answer.
  std::vector<ConfusionCount> confusion;

  // False for the result of nothing: a prompt without a dataset.
  bool scored() const { return !split.empty(); }
};

std::string EvaluationToJson(const Evaluation& evaluation);

// INTERNAL (BAD_STORED_EVALUATION) when the JSON is not one that we wrote.
absl::StatusOr<Evaluation> EvaluationFromJson(absl::string_view json);

}  // namespace promptd::worker
