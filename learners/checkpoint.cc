#include "learners/checkpoint.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/method_traits.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "learners/checkpoint_metadata.h"
#include "weights/safetensors.h"

namespace promptd::learners {
std::string TrainingIdentity(const TrainerSpec& spec,
                             const std::string& encoder_digest,
                             const TrainingData& data) {
  Sha256 digest;
  const auto add = [&digest](absl::string_view text) {
    digest.Update(absl::StrCat(text.size(), ":"));
    digest.Update(text);
  };
  add(spec.method);
  add(absl::StrCat(spec.context_tokens, " ", spec.epochs, " ", spec.batch_size,
                   " ", spec.warmup_epochs, " ", spec.seed));
  add(spec.context_init);
  // Absent from the identity of the checkpoints before there was a choice.
  if (spec.class_position != ClassPosition::kEnd || spec.class_specific) {
    add(ChoiceName(spec.class_position));
    add(spec.class_specific ? "class-specific" : "unified");
  }
  const MethodTraits* const traits = FindMethod(spec.method);
  if (traits != nullptr && traits->text_templates) {
    add(absl::StrCat("templates ", spec.text_templates.size()));
    for (const std::string& text : spec.text_templates) add(text);
  }
  const bool chooses = traits != nullptr && traits->regularized &&
                       spec.inverse_regularization == 0;
  if (traits != nullptr && traits->regularized) {
    add(absl::StrCat("C ", ExactText(spec.inverse_regularization)));
  }
  if (!data.initial_context_digest.empty()) add(data.initial_context_digest);
  if (spec.views != 1) add(absl::StrCat("views ", spec.views));
  if (spec.selection == Selection::kBestValidation || chooses) {
    add(ChoiceName(spec.selection));
    add(data.validation_digest);
    for (const int label : data.validation_labels) add(absl::StrCat(label));
  }
  for (const double value : {spec.learning_rate, spec.momentum,
                             spec.weight_decay, spec.warmup_learning_rate}) {
    add(ExactText(value));
  }
  add(encoder_digest);
  add(data.features_digest);
  for (const std::string& name : data.class_names) add(name);
  for (const int label : data.labels) add(absl::StrCat(label));
  return digest.HexDigest();
}

absl::StatusOr<std::string> WriteCheckpoint(const CheckpointContent& content) {
  const LearnerProgress& progress = content.progress;
  std::map<std::string, FloatTensor> tensors = {
      {"parameter", content.parameter}, {"momentum", content.momentum}};
  std::map<std::string, std::string> metadata = {
      {"format", kStepsFormat},
      {"identity", content.identity},
      {"random", content.epoch.random},
      {"epoch_loss_sum", ExactText(content.epoch.loss_sum)},
      {"epoch_correct", absl::StrCat(content.epoch.correct)},
      {"epoch", absl::StrCat(progress.epoch)},
      {"step", absl::StrCat(progress.step)},
      {"steps", absl::StrCat(progress.steps)},
      {"loss", ExactText(progress.loss)},
      {"accuracy", ExactText(progress.accuracy)},
      {"learning_rate", ExactText(progress.learning_rate)}};
  if (content.best.epoch > 0) {
    tensors["best_parameter"] = content.best_parameter;
    metadata["best_epoch"] = absl::StrCat(content.best.epoch);
    metadata["best_correct"] = absl::StrCat(content.best.correct);
    metadata["validated_epochs"] = absl::StrCat(content.best.validated);
  }
  return weights::WriteSafetensors(tensors, metadata);
}

absl::StatusOr<CheckpointContent> ReadCheckpoint(absl::string_view bytes) {
  const auto file =
      weights::Safetensors::FromBytes(std::string(bytes), "checkpoint");
  if (!file.ok()) return BadCheckpoint(file.status().message());
  CheckpointMetadata metadata(file->metadata());
  RETURN_IF_ERROR(metadata.CheckFormat(kStepsFormat));
  CheckpointContent content;
  const bool has_best = file->metadata().contains("best_epoch");
  std::vector<std::pair<const char*, FloatTensor*>> tensors = {
      {"parameter", &content.parameter}, {"momentum", &content.momentum}};
  if (has_best) tensors.emplace_back("best_parameter", &content.best_parameter);
  for (const auto& [name, tensor] : tensors) {
    auto values = file->Floats(name);
    if (!values.ok()) return BadCheckpoint(values.status().message());
    if (!weights::AllFinite(*values))
      return BadCheckpoint("values are not finite");
    *tensor = *std::move(values);
  }
  if (content.parameter.shape != content.momentum.shape ||
      (has_best && content.parameter.shape != content.best_parameter.shape)) {
    return BadCheckpoint("its tensors differ in shape");
  }
  content.identity = metadata.Text("identity");
  content.epoch.random = metadata.Text("random");
  content.epoch.loss_sum = metadata.Real("epoch_loss_sum");
  content.epoch.correct = metadata.Whole("epoch_correct");
  content.progress.epoch = static_cast<int>(metadata.Whole("epoch"));
  content.progress.step = metadata.Whole("step");
  content.progress.steps = metadata.Whole("steps");
  content.progress.loss = metadata.Real("loss");
  content.progress.accuracy = metadata.Real("accuracy");
  content.progress.learning_rate = metadata.Real("learning_rate");
  if (has_best) {
    content.best.epoch = static_cast<int>(metadata.Whole("best_epoch"));
    content.best.correct = metadata.Whole("best_correct");
    content.best.validated =
        static_cast<int>(metadata.Whole("validated_epochs"));
  }
  if (!metadata.problem().empty()) return BadCheckpoint(metadata.problem());
  if (content.progress.step > content.progress.steps)
    return BadCheckpoint("bad step");
  if (!Random::FromState(content.epoch.random))
    return BadCheckpoint("bad random");
  return content;
}

}  // namespace promptd::learners
