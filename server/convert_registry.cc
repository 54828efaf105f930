#include "server/convert_registry.h"

#include "common/status_macros.h"
#include "server/convert_job.h"
#include "server/convert_time.h"

namespace promptd::server {
namespace {

v1::Split SplitToProto(const std::string& split) {
  if (split == "train") return v1::SPLIT_TRAIN;
  if (split == "val") return v1::SPLIT_VAL;
  if (split == "test") return v1::SPLIT_TEST;
  return v1::SPLIT_UNSPECIFIED;
}

}  // namespace

void ToProto(const registry::Dataset& dataset, v1::Dataset* out) {
  out->set_name(dataset.name);
  out->set_digest(dataset.digest);
  for (const std::string& name : dataset.class_names) {
    out->add_class_names(name);
  }
  for (const registry::SplitCount& split : dataset.splits) {
    auto* item = out->add_splits();
    item->set_split(SplitToProto(split.split));
    item->set_images(split.images);
    for (const int64_t images : split.images_per_class) {
      item->add_images_per_class(images);
    }
  }
  ToProto(dataset.create_time, out->mutable_create_time());
  out->set_total_bytes(dataset.total_bytes);
}

void ToProto(const registry::Task& task, v1::Task* out) {
  out->set_name(task.name);
  out->set_encoder(task.encoder);
  out->set_encoder_digest(task.encoder_digest);
  for (const std::string& name : task.class_names) out->add_class_names(name);
  out->set_latest_version(task.latest_version);
  out->set_production_version(task.production_version);
  ToProto(task.create_time, out->mutable_create_time());
}

void ToProto(const registry::Alias& alias, v1::Alias* out) {
  out->set_task(alias.task);
  out->set_name(alias.name);
  out->set_version(alias.version);
  out->set_revision(alias.revision);
  ToProto(alias.update_time, out->mutable_update_time());
}

void ToProto(const registry::AliasMove& move, v1::AliasMove* out) {
  out->set_revision(move.revision);
  out->set_version(move.version);
  out->set_previous_version(move.previous_version);
  ToProto(move.time, out->mutable_time());
  out->set_actor(move.actor);
  out->set_reason(move.reason);
  out->set_undone_revision(move.undone_revision);
}

void ToProto(const worker::EncoderDescription& encoder, v1::Encoder* out) {
  out->set_name(encoder.name);
  out->set_digest(encoder.digest);
  out->set_embed_dim(encoder.embed_dim);
  out->set_image_size(encoder.image_size);
  out->set_context_length(encoder.context_length);
  out->set_text_width(encoder.text_width);
  out->set_logit_scale(encoder.logit_scale);
  out->set_parameters(encoder.parameters);
  out->set_demonstration(encoder.demonstration);
  out->set_precision(PrecisionName(encoder.precision));
}

void ToProto(const worker::EncoderVerification& verification,
             v1::VerifyEncoderResponse* out) {
  out->set_passed(verification.passed);
  out->set_files_unchanged(verification.files_unchanged);
  out->set_digest_on_disk(verification.digest_on_disk);
  out->set_origin(verification.origin);
  for (const auto& check : verification.checks) {
    v1::SelfTestCheck* item = out->add_checks();
    item->set_subject(check.subject);
    item->set_vectors(check.vectors);
    item->set_deviation(check.deviation);
    item->set_allowed_deviation(check.limits.deviation);
    item->set_cosine(check.cosine);
    item->set_required_cosine(check.limits.cosine);
    item->set_passed(check.passed);
  }
}

absl::Status ToProto(const registry::EvaluationRecord& evaluation,
                     v1::StoredEvaluation* out) {
  out->set_id(evaluation.job_id);
  out->set_task(evaluation.task);
  out->set_version(evaluation.version);
  out->set_dataset(evaluation.dataset);
  out->set_dataset_digest(evaluation.dataset_digest);
  ASSIGN_OR_RETURN(const worker::Evaluation result,
                   worker::EvaluationFromJson(evaluation.result_json));
  ToProto(result, out->mutable_result());
  ToProto(evaluation.create_time, out->mutable_create_time());
  return absl::OkStatus();
}

absl::Status ToProto(const registry::PromptVersion& version,
                     v1::PromptVersion* out) {
  out->set_task(version.task);
  out->set_version(version.version);
  out->set_digest(version.digest);
  out->set_context_digest(version.context_digest);
  out->set_dataset(version.dataset);
  out->set_dataset_digest(version.dataset_digest);
  out->set_encoder_digest(version.encoder_digest);
  out->set_job_id(version.job_id);
  ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                   worker::TrainingSpecFromJson(version.spec_json));
  ToProto(spec, out->mutable_spec());
  if (!version.evaluation_json.empty()) {
    ASSIGN_OR_RETURN(const worker::Evaluation evaluation,
                     worker::EvaluationFromJson(version.evaluation_json));
    ToProto(evaluation, out->mutable_evaluation());
  }
  ToProto(version.create_time, out->mutable_create_time());
  for (const std::string& alias : version.aliases) out->add_aliases(alias);
  out->mutable_tags()->insert(version.tags.begin(), version.tags.end());
  return absl::OkStatus();
}

}  // namespace promptd::server
