#include "worker/prompt_evaluation.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "learners/class_text.h"
#include "learners/evaluation.h"
#include "worker/prompt_features.h"

namespace promptd::worker {
namespace {

// Texts of a class each take some ten rows of the tower.
constexpr size_t kTextsPerUnit = 64;

std::vector<std::string> FillForAll(
    const std::string& text, const std::vector<std::string>& class_names) {
  std::vector<std::string> filled;
  filled.reserve(class_names.size());
  for (const std::string& name : class_names) {
    filled.push_back(learners::FillTemplate(text, name));
  }
  return filled;
}

// `confusion` is [C, C].
std::vector<Evaluation::ConfusionCount> WithoutZeros(
    const std::vector<int64_t>& confusion, size_t classes) {
  std::vector<Evaluation::ConfusionCount> counts;
  for (size_t i = 0; i < confusion.size(); ++i) {
    if (confusion[i] == 0) continue;
    counts.push_back({static_cast<int>(i / classes),
                      static_cast<int>(i % classes), confusion[i]});
  }
  return counts;
}

}  // namespace

absl::Status PromptEvaluation::CheckTexts(
    const clip::Encoder& encoder, const std::vector<std::string>& class_names,
    const std::vector<std::string>& templates) {
  for (const std::string& text : templates) {
    for (const std::string& filled : FillForAll(text, class_names)) {
      const absl::Status fits =
          encoder.tokenizer()
              .EncodeWithMarkers(filled, encoder.config().text.context_length)
              .status();
      if (!fits.ok()) {
        return Annotate(fits, absl::StrCat("zero-shot text \"", filled, "\""));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<FloatTensor> PromptEvaluation::Encode(
    const std::vector<std::string>& texts) {
  FloatTensor all;
  for (size_t begin = 0; begin < texts.size(); begin += kTextsPerUnit) {
    RETURN_IF_ERROR(check_());
    const std::vector<std::string> part(
        texts.begin() + static_cast<ptrdiff_t>(begin),
        texts.begin() + static_cast<ptrdiff_t>(
                            std::min(texts.size(), begin + kTextsPerUnit)));
    RETURN_IF_ERROR(loop_->RunTraining([&]() -> absl::Status {
      ASSIGN_OR_RETURN(const FloatTensor features,
                       EncodeTexts(*encoder_, part));
      all.shape = {static_cast<int64_t>(begin + part.size()),
                   features.shape[1]};
      all.values.insert(all.values.end(), features.values.begin(),
                        features.values.end());
      return absl::OkStatus();
    }));
  }
  return all;
}

absl::StatusOr<Evaluation> PromptEvaluation::Run(
    const std::string& split, const std::vector<std::string>& class_names,
    const std::vector<std::string>& templates,
    const FloatTensor& image_features, const FloatTensor& encoder_features,
    const std::vector<int>& labels, const ClassHead& head) {
  const float scale = encoder_->logit_scale();
  Evaluation evaluation;
  evaluation.split = split;
  evaluation.images = static_cast<int64_t>(labels.size());
  ASSIGN_OR_RETURN(
      const learners::Scores learned,
      learners::ScoreFeatures(image_features, labels, head, scale));
  evaluation.accuracy = learned.accuracy;
  evaluation.macro_f1 = learned.macro_f1;
  evaluation.ece = learned.ece;
  if (head.temperature != 1) {
    ClassHead plain = head;
    plain.temperature = 1;
    ASSIGN_OR_RETURN(
        const learners::Scores before,
        learners::ScoreFeatures(image_features, labels, plain, scale));
    evaluation.temperature = head.temperature;
    evaluation.uncalibrated_ece = before.ece;
  }
  evaluation.confusion = WithoutZeros(learned.confusion, class_names.size());

  std::optional<learners::Scores> best;
  for (const std::string& text : templates) {
    ASSIGN_OR_RETURN(const FloatTensor zero_shot,
                     Encode(FillForAll(text, class_names)));
    ASSIGN_OR_RETURN(
        learners::Scores scores,
        learners::ScoreFeatures(encoder_features, labels, {zero_shot}, scale));
    evaluation.templates.push_back({text, scores.accuracy});
    if (!best.has_value() || scores.accuracy > best->accuracy) {
      best = std::move(scores);
      evaluation.zero_shot_template = text;
    }
  }
  if (best.has_value()) {
    evaluation.zero_shot_accuracy = best->accuracy;
    evaluation.zero_shot_macro_f1 = best->macro_f1;
    evaluation.zero_shot_ece = best->ece;
  }
  for (size_t c = 0; c < class_names.size(); ++c) {
    evaluation.classes.push_back(
        {class_names[c], learned.class_images[c], learned.class_accuracy[c],
         best.has_value() ? best->class_accuracy[c] : 0});
  }
  return evaluation;
}

}  // namespace promptd::worker
