#include "server/archive_import.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/class_head.h"
#include "common/error.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "datasets/manifest.h"
#include "jobs/job_store.h"
#include "registry/registry.h"
#include "server/version_archive.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "worker/evaluation_spec.h"
#include "worker/executor.h"
#include "worker/head_blob.h"
#include "worker/tensor_blob.h"

namespace promptd::server {
namespace {

absl::Status Bad(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ARCHIVE",
                   absl::StrCat("the archive's ", what));
}

absl::StatusOr<worker::EncoderDescription> HeldEncoder(
    const Backend& backend, const ManifestContent& manifest) {
  std::string held;
  for (worker::EncoderDescription& encoder : backend.executor->Encoders()) {
    if (encoder.digest == manifest.encoder_digest) return std::move(encoder);
    absl::StrAppend(&held, held.empty() ? "" : ", ", encoder.name, " (",
                    encoder.digest, ")");
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "ENCODER_NOT_HELD",
      absl::StrCat("the archive's version is of encoder \"",
                   manifest.spec.encoder, "\" with digest ",
                   manifest.encoder_digest, "; this server holds ", held,
                   ": import that encoder and start promptd with it"));
}

absl::Status CheckClasses(const Backend& backend,
                          const std::vector<std::string>& names) {
  datasets::ManifestLimits limits;
  limits.max_classes = backend.limits.max_classes;
  limits.max_name_bytes = backend.limits.max_label_bytes;
  if (datasets::ValidateClassNames(names, limits).ok()) return absl::OkStatus();
  return Bad("class names break this server's rules");
}

absl::Status CheckHead(const VersionArchive& archive,
                       const ManifestContent& manifest,
                       const worker::EncoderDescription& encoder) {
  const auto head = worker::ParseHead(archive.features, encoder.embed_dim);
  if (!head.ok()) return Bad("features are no head of this encoder's width");
  const std::vector<int64_t>& shape = head->weights.shape;
  if (shape.empty() ||
      shape[0] != static_cast<int64_t>(manifest.class_names.size())) {
    return Bad("features are of another number of classes than its manifest");
  }
  if (!head->image_tower.empty() &&
      head->image_tower != manifest.context_digest) {
    return Bad("features are of an image tower that is not in it");
  }
  return absl::OkStatus();
}

absl::Status CheckContext(const VersionArchive& archive,
                          const ManifestContent& manifest,
                          const worker::EncoderDescription& encoder) {
  if (archive.context.empty()) return absl::OkStatus();
  if (!LearnsContext(manifest.spec.method)) {
    const auto tensors = worker::ParseTensors(archive.context, "the archive");
    return tensors.ok() ? absl::OkStatus() : Bad("context is no safetensors");
  }
  const auto shape = worker::ContextShape(archive.context);
  if (!shape.ok() || shape->back() != encoder.text_width) {
    return Bad("context is none of this encoder's width");
  }
  const bool of_classes = shape->size() == 3;
  if (of_classes &&
      (*shape)[0] != static_cast<int64_t>(manifest.class_names.size())) {
    return Bad("context is of another number of classes than its manifest");
  }
  return absl::OkStatus();
}

// What is stored of an import, with its blobs on disk.
struct Prepared {
  registry::PreparedVersion version;
  std::vector<ArchivedEvaluation> further;  // of other jobs than its own
};

absl::StatusOr<Prepared> Prepare(const Backend& backend,
                                 const std::string& tenant,
                                 const std::string& task,
                                 const VersionArchive& archive,
                                 const ManifestContent& manifest) {
  Prepared prepared;
  registry::NewVersion& content = prepared.version.content;
  content.tenant = tenant;
  content.task = task;
  // Under this name here; its manifest stays what it was.
  worker::TrainingSpec spec = manifest.spec;
  spec.task = task;
  content.spec_json = worker::TrainingSpecToJson(spec);
  content.dataset = manifest.dataset;
  content.dataset_digest = manifest.dataset_digest;
  content.encoder_digest = manifest.encoder_digest;
  content.class_names = manifest.class_names;
  prepared.further = archive.evaluations;
  if (!prepared.further.empty() && prepared.further[0].own) {
    content.split = prepared.further[0].result.split;
    content.evaluation_json =
        worker::EvaluationToJson(prepared.further[0].result);
    prepared.further.erase(prepared.further.begin());
  }
  if (!archive.context.empty()) {
    ASSIGN_OR_RETURN(content.context_digest,
                     backend.blobs->Put(archive.context));
  }
  ASSIGN_OR_RETURN(content.features_digest,
                   backend.blobs->Put(archive.features));
  ASSIGN_OR_RETURN(prepared.version.digest,
                   backend.blobs->Put(archive.manifest_json));
  return prepared;
}

// A job that exists to say what an import brought; completed by its caller.
absl::StatusOr<jobs::Job> ImportJob(const Backend& backend,
                                    store::Transaction& tx,
                                    const registry::NewVersion& content,
                                    jobs::JobKind kind,
                                    const std::string& spec_json,
                                    const std::string& dataset_digest) {
  jobs::NewJob job;
  job.kind = kind;
  job.tenant = content.tenant;
  job.task = content.task;
  job.spec_json = spec_json;
  job.encoder_digest = content.encoder_digest;
  job.dataset_digest = dataset_digest;
  return backend.jobs->CreateRunning(tx, job, "import");
}

absl::Status AddEvaluation(const Backend& backend, store::Transaction& tx,
                           const registry::NewVersion& content,
                           const std::string& encoder, int64_t version,
                           const ArchivedEvaluation& evaluation) {
  worker::EvaluationSpec spec;
  spec.task = content.task;
  spec.version = version;
  spec.features_digest = content.features_digest;
  spec.dataset = evaluation.dataset;
  spec.dataset_digest = evaluation.dataset_digest;
  spec.encoder = encoder;
  spec.encoder_digest = content.encoder_digest;
  spec.split = evaluation.result.split;
  for (const auto& result : evaluation.result.templates) {
    spec.templates.push_back(result.text);
  }
  ASSIGN_OR_RETURN(
      const jobs::Job job,
      ImportJob(backend, tx, content, jobs::JobKind::kEvaluate,
                worker::EvaluationSpecToJson(spec), evaluation.dataset_digest));
  const std::string json = worker::EvaluationToJson(evaluation.result);
  RETURN_IF_ERROR(backend.registry->prompts().AddEvaluation(
      tx, content.tenant,
      {.job_id = job.id,
       .task = content.task,
       .version = version,
       .dataset = evaluation.dataset,
       .dataset_digest = evaluation.dataset_digest,
       .split = evaluation.result.split,
       .result_json = json,
       .create_time = {}}));
  return backend.jobs->Complete(tx, job.id, job.fence, version, json);
}

// The version's number, and whether it was there.
absl::StatusOr<std::pair<int64_t, bool>> Store(
    const Backend& backend, store::Transaction& tx,
    const worker::EncoderDescription& encoder, Prepared prepared) {
  registry::PromptRegistry& prompts = backend.registry->prompts();
  registry::NewVersion& content = prepared.version.content;
  RETURN_IF_ERROR(prompts
                      .CreateTaskIfMissing(tx, content.tenant, content.task,
                                           encoder.name, encoder.digest,
                                           content.class_names)
                      .status());
  ASSIGN_OR_RETURN(const std::optional<int64_t> existing,
                   prompts.FindVersion(tx, content.tenant, content.task,
                                       prepared.version.digest));
  if (existing) return std::pair(*existing, true);
  ASSIGN_OR_RETURN(const jobs::Job job,
                   ImportJob(backend, tx, content, jobs::JobKind::kTrain,
                             content.spec_json, content.dataset_digest));
  content.job_id = job.id;
  ASSIGN_OR_RETURN(const registry::PromptVersion version,
                   prompts.Publish(tx, prepared.version));
  RETURN_IF_ERROR(backend.jobs->Complete(tx, job.id, job.fence, version.version,
                                         content.evaluation_json));
  for (const ArchivedEvaluation& evaluation : prepared.further) {
    RETURN_IF_ERROR(AddEvaluation(backend, tx, content, encoder.name,
                                  version.version, evaluation));
  }
  return std::pair(version.version, false);
}

// Of a version's own job first, then in the order in which they were found out.
absl::StatusOr<std::vector<ArchivedEvaluation>> EvaluationsOf(
    const Backend& backend, const std::string& tenant,
    const registry::PromptVersion& version) {
  ASSIGN_OR_RETURN(auto page,
                   backend.registry->prompts().ListEvaluations(
                       tenant, version.task, version.version,
                       {.page_size = static_cast<int>(kMaxArchivedEvaluations),
                        .page_token = ""}));
  std::reverse(page.items.begin(), page.items.end());
  std::stable_partition(
      page.items.begin(), page.items.end(),
      [&](const auto& item) { return item.job_id == version.job_id; });
  std::vector<ArchivedEvaluation> evaluations;
  for (const registry::EvaluationRecord& record : page.items) {
    ArchivedEvaluation& evaluation = evaluations.emplace_back();
    evaluation.own = record.job_id == version.job_id;
    evaluation.dataset = record.dataset;
    evaluation.dataset_digest = record.dataset_digest;
    ASSIGN_OR_RETURN(evaluation.result,
                     worker::EvaluationFromJson(record.result_json));
  }
  return evaluations;
}

}  // namespace

absl::StatusOr<ImportedVersion> ImportArchive(const Backend& backend,
                                              const std::string& tenant,
                                              const std::string& task,
                                              absl::string_view tar) {
  ASSIGN_OR_RETURN(const VersionArchive archive, ReadArchive(tar));
  ASSIGN_OR_RETURN(const ManifestContent manifest, ReadManifest(archive));
  if (FindMethod(manifest.spec.method) == nullptr) {
    return Bad("method is not known to this release");
  }
  ASSIGN_OR_RETURN(const worker::EncoderDescription encoder,
                   HeldEncoder(backend, manifest));
  RETURN_IF_ERROR(CheckClasses(backend, manifest.class_names));
  RETURN_IF_ERROR(CheckHead(archive, manifest, encoder));
  RETURN_IF_ERROR(CheckContext(archive, manifest, encoder));
  const std::string& name = task.empty() ? manifest.task : task;
  ASSIGN_OR_RETURN(Prepared prepared,
                   Prepare(backend, tenant, name, archive, manifest));
  std::pair<int64_t, bool> stored;
  RETURN_IF_ERROR(
      backend.db->Write([&](store::Transaction& tx) -> absl::Status {
        ASSIGN_OR_RETURN(stored, Store(backend, tx, encoder, prepared));
        return absl::OkStatus();
      }));
  ImportedVersion imported;
  imported.existed = stored.second;
  ASSIGN_OR_RETURN(imported.version, backend.registry->prompts().GetVersion(
                                         tenant, name, stored.first));
  return imported;
}

absl::StatusOr<std::string> ExportArchive(const Backend& backend,
                                          const std::string& tenant,
                                          const std::string& task,
                                          int64_t number) {
  registry::PromptRegistry& prompts = backend.registry->prompts();
  ASSIGN_OR_RETURN(const registry::PromptVersion version,
                   prompts.GetVersion(tenant, task, number));
  VersionArchive archive;
  ASSIGN_OR_RETURN(archive.manifest_json, prompts.ManifestJson(version));
  int64_t bytes = 0;
  for (const std::string& digest :
       {version.context_digest, version.features_digest}) {
    if (digest.empty()) continue;
    ASSIGN_OR_RETURN(const int64_t size, backend.blobs->Size(digest));
    bytes += size;
  }
  if (bytes > kMaxArchiveBytes) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "ARCHIVE_TOO_LARGE",
        absl::StrCat("version ", task, ":", number, " has ", bytes,
                     " bytes, an archive takes at most ", kMaxArchiveBytes));
  }
  if (!version.context_digest.empty()) {
    ASSIGN_OR_RETURN(archive.context,
                     backend.blobs->Get(version.context_digest));
  }
  ASSIGN_OR_RETURN(archive.features,
                   backend.blobs->Get(version.features_digest));
  ASSIGN_OR_RETURN(archive.evaluations,
                   EvaluationsOf(backend, tenant, version));
  return WriteArchive(archive);
}

}  // namespace promptd::server
