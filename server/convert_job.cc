#include "server/convert_job.h"

#include "common/method_traits.h"
#include "common/status_macros.h"
#include "server/choices.h"
#include "server/convert_time.h"
#include "server/progress_json.h"

namespace promptd::server {

namespace {

void StepsToProto(const worker::TrainingSpec& spec, v1::TrainingSpec* out) {
  out->set_epochs(spec.epochs);
  out->set_batch_size(spec.batch_size);
  out->set_learning_rate(spec.learning_rate);
  out->set_momentum(spec.momentum);
  out->set_weight_decay(spec.weight_decay);
  out->set_warmup_epochs(spec.warmup_epochs);
  out->set_warmup_learning_rate(spec.warmup_learning_rate);
  out->set_views(spec.views);
  out->set_selection(ToApi<v1::Selection>(spec.selection));
}

void ContextToProto(const worker::TrainingSpec& spec, v1::TrainingSpec* out) {
  out->set_context_tokens(spec.context_tokens);
  out->set_context_init(spec.context_init);
  out->set_class_position(ToApi<v1::ClassPosition>(spec.class_position));
  if (spec.initial_version > 0) {
    out->mutable_initial_version()->set_task(spec.initial_task);
    out->mutable_initial_version()->set_version(spec.initial_version);
  }
  if (spec.initial_job > 0) {
    out->mutable_initial_checkpoint()->set_job(spec.initial_job);
    out->mutable_initial_checkpoint()->set_number(spec.initial_checkpoint);
  }
  out->set_initial_context_digest(spec.initial_context_digest);
  for (const std::string& name : spec.class_names) out->add_class_names(name);
}

}  // namespace

// Only the fields that the method uses, so that it can be sent back.
void ToProto(const worker::TrainingSpec& spec, v1::TrainingSpec* out) {
  out->set_task(spec.task);
  out->set_dataset(spec.dataset);
  out->set_encoder(spec.encoder);
  out->set_method(spec.method);
  for (const std::string& text : spec.templates) out->add_templates(text);
  out->set_dataset_digest(spec.dataset_digest);
  out->set_encoder_digest(spec.encoder_digest);
  out->set_class_subset(ToApi<v1::ClassSubset>(spec.class_subset));
  out->set_class_specific(spec.class_specific);
  const MethodTraits* const method = FindMethod(spec.method);
  if (method == nullptr) return;
  if (method->shots) {
    out->set_shots(spec.shots);
    out->set_seed(spec.seed);
  }
  if (method->steps) StepsToProto(spec, out);
  if (method->context) ContextToProto(spec, out);
  for (const std::string& text : spec.text_templates) {
    out->add_text_templates(text);
  }
  if (spec.inverse_regularization > 0) {
    out->set_inverse_regularization(spec.inverse_regularization);
  }
}

void ToProto(const worker::EvaluationSpec& spec, v1::EvaluationSpec* out) {
  out->mutable_version()->set_task(spec.task);
  out->mutable_version()->set_version(spec.version);
  out->set_dataset(spec.dataset);
  out->set_split(spec.split);
  for (const std::string& text : spec.templates) out->add_templates(text);
  out->set_dataset_digest(spec.dataset_digest);
  out->set_encoder(spec.encoder);
  out->set_encoder_digest(spec.encoder_digest);
  out->set_class_subset(ToApi<v1::ClassSubset>(spec.class_subset));
}

void ToProto(const worker::Evaluation& evaluation, v1::Evaluation* out) {
  out->set_split(evaluation.split);
  out->set_images(evaluation.images);
  out->set_accuracy(evaluation.accuracy);
  out->set_macro_f1(evaluation.macro_f1);
  out->set_ece(evaluation.ece);
  if (evaluation.temperature > 0) {
    out->set_temperature(evaluation.temperature);
    out->set_uncalibrated_ece(evaluation.uncalibrated_ece);
  }
  out->set_zero_shot_accuracy(evaluation.zero_shot_accuracy);
  out->set_zero_shot_template(evaluation.zero_shot_template);
  out->set_zero_shot_macro_f1(evaluation.zero_shot_macro_f1);
  out->set_zero_shot_ece(evaluation.zero_shot_ece);
  if (evaluation.selected_epoch > 0) {
    out->set_selected_epoch(evaluation.selected_epoch);
    out->set_validation_accuracy(evaluation.validation_accuracy);
  }
  if (evaluation.inverse_regularization > 0) {
    out->set_inverse_regularization(evaluation.inverse_regularization);
    out->set_validation_accuracy(evaluation.validation_accuracy);
  }
  for (const auto& result : evaluation.classes) {
    auto* item = out->add_classes();
    item->set_class_name(result.class_name);
    item->set_images(result.images);
    item->set_accuracy(result.accuracy);
    item->set_zero_shot_accuracy(result.zero_shot_accuracy);
  }
  for (const auto& result : evaluation.templates) {
    auto* item = out->add_templates();
    item->set_template_(result.text);
    item->set_accuracy(result.accuracy);
  }
  for (const auto& count : evaluation.confusion) {
    auto* item = out->add_confusion();
    item->set_label(count.label);
    item->set_answer(count.answer);
    item->set_images(count.images);
  }
}

void ToProto(const worker::Progress& progress, v1::JobProgress* out) {
  out->set_phase(progress.phase);
  out->set_epoch(progress.epoch);
  out->set_epochs(progress.epochs);
  out->set_step(progress.step);
  out->set_steps(progress.steps);
  out->set_loss(progress.loss);
  out->set_accuracy(progress.accuracy);
  out->set_learning_rate(progress.learning_rate);
  out->set_fraction(progress.fraction);
  if (progress.eta) ToProto(*progress.eta, out->mutable_eta());
}

v1::JobState ToProto(jobs::JobState state) {
  switch (state) {
    case jobs::JobState::kQueued:
      return v1::JOB_STATE_QUEUED;
    case jobs::JobState::kRunning:
      return v1::JOB_STATE_RUNNING;
    case jobs::JobState::kPaused:
      return v1::JOB_STATE_PAUSED;
    case jobs::JobState::kSucceeded:
      return v1::JOB_STATE_SUCCEEDED;
    case jobs::JobState::kFailed:
      return v1::JOB_STATE_FAILED;
    case jobs::JobState::kCancelled:
      return v1::JOB_STATE_CANCELLED;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

absl::Status ToProto(const jobs::Job& job, v1::TrainingJob* out) {
  out->set_id(job.id);
  if (job.kind == jobs::JobKind::kEvaluate) {
    ASSIGN_OR_RETURN(const worker::EvaluationSpec spec,
                     worker::EvaluationSpecFromJson(job.spec_json));
    out->set_kind(v1::JOB_KIND_EVALUATE);
    ToProto(spec, out->mutable_evaluation_spec());
  } else {
    ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                     worker::TrainingSpecFromJson(job.spec_json));
    out->set_kind(v1::JOB_KIND_TRAIN);
    ToProto(spec, out->mutable_spec());
  }
  out->set_state(ToProto(job.state));
  out->set_done(jobs::IsTerminal(job.state));
  if (!job.progress_json.empty()) {
    ASSIGN_OR_RETURN(const worker::Progress progress,
                     ProgressFromJson(job.progress_json));
    ToProto(progress, out->mutable_progress());
  }
  if (!job.result_json.empty()) {
    ASSIGN_OR_RETURN(const worker::Evaluation evaluation,
                     worker::EvaluationFromJson(job.result_json));
    ToProto(evaluation, out->mutable_result());
  }
  out->set_version(job.version);
  out->set_attempt(job.attempt);
  out->set_error_reason(job.error_reason);
  out->set_error_message(job.error_message);
  out->set_cancel_requested(job.cancel_requested);
  out->set_pause_requested(job.pause_requested);
  out->set_retry_of(job.retry_of);
  out->set_priority(static_cast<v1::JobPriority>(job.priority));
  out->set_last_sequence(job.last_sequence);
  ToProto(job.create_time, out->mutable_create_time());
  if (job.start_time) ToProto(*job.start_time, out->mutable_start_time());
  if (job.end_time) ToProto(*job.end_time, out->mutable_end_time());
  return absl::OkStatus();
}

void ToProto(const jobs::Checkpoint& checkpoint, v1::Checkpoint* out) {
  out->set_number(checkpoint.number);
  out->set_epoch(checkpoint.epoch);
  out->set_step(checkpoint.step);
  ToProto(checkpoint.create_time, out->mutable_created());
  out->set_digest(checkpoint.blob_digest);
}

absl::Status ToProto(const jobs::JobEvent& event, v1::JobEvent* out) {
  out->set_sequence(event.sequence);
  ToProto(event.time, out->mutable_time());
  out->set_state(ToProto(event.state));
  if (!event.progress_json.empty()) {
    ASSIGN_OR_RETURN(const worker::Progress progress,
                     ProgressFromJson(event.progress_json));
    ToProto(progress, out->mutable_progress());
  }
  out->set_message(event.message);
  out->set_version(event.version);
  return absl::OkStatus();
}

}  // namespace promptd::server
