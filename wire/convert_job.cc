#include "wire/convert_job.h"

#include "common/error.h"
#include "common/status_macros.h"
#include "wire/convert_time.h"

namespace promptd::wire {
namespace {

absl::Status BadMessage(const char* what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_WIRE_MESSAGE",
                   std::string(what) +
                       " cannot be read: run the same release of promptd and "
                       "promptd-worker");
}

}  // namespace

void ToProto(const worker::LeasedJob& job, pb::LeasedJob* out) {
  out->set_id(job.id);
  out->set_fence(job.fence);
  out->set_attempt(job.attempt);
  if (job.evaluation) {
    out->set_evaluation_spec_json(
        worker::EvaluationSpecToJson(*job.evaluation));
  } else {
    out->set_training_spec_json(worker::TrainingSpecToJson(job.spec));
  }
  out->set_checkpoint_digest(job.checkpoint_digest);
  if (job.lease != absl::InfiniteDuration()) {
    ToProto(job.lease, out->mutable_lease());
  }
}

absl::StatusOr<worker::LeasedJob> FromProto(const pb::LeasedJob& job) {
  worker::LeasedJob out;
  out.id = job.id();
  out.fence = job.fence();
  out.attempt = job.attempt();
  if (job.spec_case() == pb::LeasedJob::kEvaluationSpecJson) {
    ASSIGN_OR_RETURN(out.evaluation, worker::EvaluationSpecFromJson(
                                         job.evaluation_spec_json()));
  } else if (job.spec_case() == pb::LeasedJob::kTrainingSpecJson) {
    ASSIGN_OR_RETURN(out.spec,
                     worker::TrainingSpecFromJson(job.training_spec_json()));
  } else {
    return BadMessage("a leased job");
  }
  out.checkpoint_digest = job.checkpoint_digest();
  if (job.has_lease()) out.lease = FromProto(job.lease());
  return out;
}

void ToProto(const worker::Progress& progress, pb::Progress* out) {
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

worker::Progress FromProto(const pb::Progress& progress) {
  worker::Progress out;
  out.phase = progress.phase();
  out.epoch = progress.epoch();
  out.epochs = progress.epochs();
  out.step = progress.step();
  out.steps = progress.steps();
  out.loss = progress.loss();
  out.accuracy = progress.accuracy();
  out.learning_rate = progress.learning_rate();
  out.fraction = progress.fraction();
  if (progress.has_eta()) out.eta = FromProto(progress.eta());
  return out;
}

void ToProto(const worker::FinishedPrompt& prompt, pb::FinishedPrompt* out) {
  out->set_context_digest(prompt.context_digest);
  out->set_features_digest(prompt.features_digest);
  for (const std::string& name : prompt.class_names) {
    out->add_class_names(name);
  }
  out->set_evaluation_json(worker::EvaluationToJson(prompt.evaluation));
}

absl::StatusOr<worker::FinishedPrompt> FromProto(
    const pb::FinishedPrompt& prompt) {
  worker::FinishedPrompt out;
  out.context_digest = prompt.context_digest();
  out.features_digest = prompt.features_digest();
  out.class_names.assign(prompt.class_names().begin(),
                         prompt.class_names().end());
  ASSIGN_OR_RETURN(out.evaluation,
                   worker::EvaluationFromJson(prompt.evaluation_json()));
  return out;
}

pb::Directive ToProto(worker::Directive directive) {
  switch (directive) {
    case worker::Directive::kContinue:
      return pb::DIRECTIVE_CONTINUE;
    case worker::Directive::kPause:
      return pb::DIRECTIVE_PAUSE;
    case worker::Directive::kCancel:
      return pb::DIRECTIVE_CANCEL;
    case worker::Directive::kSaveAndCancel:
      return pb::DIRECTIVE_SAVE_AND_CANCEL;
  }
  return pb::DIRECTIVE_UNSPECIFIED;
}

absl::StatusOr<worker::Directive> FromProto(pb::Directive directive) {
  switch (directive) {
    case pb::DIRECTIVE_CONTINUE:
      return worker::Directive::kContinue;
    case pb::DIRECTIVE_PAUSE:
      return worker::Directive::kPause;
    case pb::DIRECTIVE_CANCEL:
      return worker::Directive::kCancel;
    case pb::DIRECTIVE_SAVE_AND_CANCEL:
      return worker::Directive::kSaveAndCancel;
    default:
      return BadMessage("a directive");
  }
}

}  // namespace promptd::wire
