#include "tests/client/fake_services.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "common/sha256.h"
#include "promptd/v1/archive.grpc.pb.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "promptd/v1/training.pb.h"

namespace promptd::testing {
namespace {

using grpc::ServerContext;
using grpc::Status;
using Lock = std::lock_guard<std::mutex>;

class FakeInfo final : public v1::ServerService::Service {
 public:
  explicit FakeInfo(FakeState* state) : state_(*state) {}
  Status GetServerInfo(ServerContext*, const v1::GetServerInfoRequest*,
                       v1::GetServerInfoResponse* out) override {
    const Lock lock(state_.mutex);
    out->set_version("9.9.9");
    *out->mutable_limits() = state_.limits;
    (*out->mutable_jobs())["running"] = 1;
    (*out->mutable_jobs())["succeeded"] = 2;
    out->set_default_encoder("embedded");
    out->set_uptime_seconds(61);
    auto* worker = out->add_workers();
    worker->set_id("local");
    worker->set_device("cpu");
    worker->set_ready(true);
    worker->add_encoder_digests("0123456789abcdef");
    return Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeEncoders final : public v1::EncoderService::Service {
 public:
  explicit FakeEncoders(FakeState* state) : state_(*state) {}
  Status ListEncoders(ServerContext*, const v1::ListEncodersRequest*,
                      v1::ListEncodersResponse* out) override {
    const Lock lock(state_.mutex);
    if (state_.fail) return *state_.fail;
    Fill(out->add_encoders());
    return Status::OK;
  }
  Status GetEncoder(ServerContext*, const v1::GetEncoderRequest* request,
                    v1::Encoder* out) override {
    Fill(out);
    return Find(request->name());
  }
  Status VerifyEncoder(ServerContext*, const v1::VerifyEncoderRequest* request,
                       v1::VerifyEncoderResponse* out) override {
    const Lock lock(state_.mutex);
    *out = state_.verification;
    return Find(request->name());
  }
  // "broken" images fail alone.
  Status EmbedImages(ServerContext*, const v1::EmbedImagesRequest* request,
                     v1::EmbedResponse* out) override {
    const Lock lock(state_.mutex);
    state_.embedded_images.push_back(*request);
    for (const std::string& image : request->images()) {
      Embed(image == "broken" ? "IMAGE_TRUNCATED" : "", out);
    }
    out->set_encoder_digest(state_.embed_digest);
    return Status::OK;
  }
  // Texts of more than 50 bytes are too long.
  Status EmbedTexts(ServerContext*, const v1::EmbedTextsRequest* request,
                    v1::EmbedResponse* out) override {
    const Lock lock(state_.mutex);
    state_.embedded_texts.push_back(*request);
    for (const std::string& text : request->texts()) {
      const bool refused = text.size() > 50 && !request->truncate();
      Embed(refused ? "TEXT_TOO_LONG" : "", out);
    }
    out->set_encoder_digest(state_.embed_digest);
    if (state_.encoder_changes) state_.embed_digest += "0";
    return Status::OK;
  }

 private:
  static Status Find(const std::string& name) {
    if (name.empty() || name == "embedded") return Status::OK;
    return RichError(grpc::StatusCode::NOT_FOUND, "ENCODER_NOT_FOUND",
                     "no encoder \"" + name + "\": take one of embedded");
  }
  // (0.6, 0.8) of length 5, or an error.
  static void Embed(const std::string& error_reason, v1::EmbedResponse* out) {
    v1::Embedding* embedding = out->add_embeddings();
    if (!error_reason.empty()) {
      embedding->set_error_reason(error_reason);
      embedding->set_error_message("cannot be embedded");
      return;
    }
    embedding->add_values(0.6f);
    embedding->add_values(0.8f);
    embedding->set_norm(5);
  }
  static void Fill(v1::Encoder* out) {
    out->set_name("embedded");
    out->set_digest("0123456789abcdef");
    out->set_embed_dim(256);
    out->set_image_size(96);
    out->set_context_length(77);
    out->set_parameters(5'000'000);
    out->set_demonstration(true);
  }
  FakeState& state_;
};

class FakePrompts final : public v1::PromptService::Service {
 public:
  explicit FakePrompts(FakeState* state) : state_(*state) {}
  Status ListTasks(ServerContext*, const v1::ListTasksRequest* request,
                   v1::ListTasksResponse* out) override {
    // Two pages of one task each.
    const bool first = request->page_token().empty();
    v1::Task* task = out->add_tasks();
    task->set_name(first ? "cars" : "pets");
    const Lock lock(state_.mutex);
    task->set_encoder_digest(state_.task_encoder_digest);
    if (first) out->set_next_page_token("2");
    return Status::OK;
  }
  Status GetTask(ServerContext*, const v1::GetTaskRequest* request,
                 v1::Task* out) override {
    const Lock lock(state_.mutex);
    if (state_.fail) return *state_.fail;
    if (state_.no_tasks.count(request->name()) > 0) {
      return RichError(grpc::StatusCode::NOT_FOUND, "TASK_NOT_FOUND",
                       "no task");
    }
    out->set_name(request->name());
    out->set_encoder("large");
    out->add_class_names("cat");
    out->add_class_names("dog");
    out->set_latest_version(2);
    return Status::OK;
  }
  Status GetVersion(ServerContext*, const v1::GetVersionRequest* request,
                    v1::PromptVersion* out) override {
    const Lock lock(state_.mutex);
    out->set_task(request->task());
    out->set_version(request->has_version() ? request->version() : 1);
    out->set_context_digest(
        state_.context_digest.value_or(Sha256Hex("context bytes")));
    *out->mutable_spec() = state_.version_spec;
    if (!request->alias().empty()) out->add_aliases(request->alias());
    return Status::OK;
  }
  Status ListVersions(ServerContext*, const v1::ListVersionsRequest* request,
                      v1::ListVersionsResponse* out) override {
    const Lock lock(state_.mutex);
    state_.versions_listed.push_back(*request);
    out->add_versions()->set_task(request->task());
    return Status::OK;
  }
  Status ChangeVersionTags(ServerContext*,
                           const v1::ChangeVersionTagsRequest* request,
                           v1::ChangeVersionTagsResponse* out) override {
    const Lock lock(state_.mutex);
    state_.tagged.push_back(*request);
    *out->mutable_tags() = request->set();
    return Status::OK;
  }
  Status GetLineage(ServerContext*, const v1::GetLineageRequest*,
                    v1::GetLineageResponse* out) override {
    const Lock lock(state_.mutex);
    *out = state_.lineage;
    return Status::OK;
  }
  Status ListDerivedVersions(ServerContext*,
                             const v1::ListDerivedVersionsRequest* request,
                             v1::ListDerivedVersionsResponse* out) override {
    const Lock lock(state_.mutex);
    state_.derived.push_back(*request);
    out->add_versions()->set_task("birds");
    return Status::OK;
  }
  Status DeleteVersion(ServerContext*, const v1::DeleteVersionRequest* request,
                       v1::DeleteVersionResponse*) override {
    const Lock lock(state_.mutex);
    state_.deleted.push_back(request->task() + ":" +
                             std::to_string(request->version()));
    return Status::OK;
  }
  Status DeleteTask(ServerContext*, const v1::DeleteTaskRequest* request,
                    v1::DeleteTaskResponse*) override {
    const Lock lock(state_.mutex);
    state_.deleted.push_back(request->name());
    return Status::OK;
  }
  Status ExportVersion(ServerContext*, const v1::ExportVersionRequest*,
                       v1::ExportVersionResponse* out) override {
    const Lock lock(state_.mutex);
    out->set_context(state_.context);
    out->set_manifest_json("{\"version\":1}");
    return Status::OK;
  }
  Status CreateEvaluation(ServerContext*,
                          const v1::CreateEvaluationRequest* request,
                          v1::TrainingJob* out) override {
    const Lock lock(state_.mutex);
    if (state_.fail) return *state_.fail;
    state_.evaluated.push_back(*request);
    if (state_.jobs.empty()) state_.jobs.emplace_back();
    v1::TrainingJob& job = state_.jobs.front();
    job.set_id(1);
    job.set_kind(v1::JOB_KIND_EVALUATE);
    *job.mutable_evaluation_spec() = request->spec();
    *out = job;
    return Status::OK;
  }
  Status GetEvaluation(ServerContext*, const v1::GetEvaluationRequest* request,
                       v1::StoredEvaluation* out) override {
    const Lock lock(state_.mutex);
    if (request->id() != 1) {
      return RichError(grpc::StatusCode::NOT_FOUND, "EVALUATION_NOT_FOUND",
                       "no evaluation 7: see `promptctl evaluation list`");
    }
    *out = state_.evaluation;
    return Status::OK;
  }
  Status ListEvaluations(ServerContext*,
                         const v1::ListEvaluationsRequest* request,
                         v1::ListEvaluationsResponse* out) override {
    const Lock lock(state_.mutex);
    state_.evaluations_listed.push_back(*request);
    *out->add_evaluations() = state_.evaluation;
    return Status::OK;
  }
  Status InterpretVersion(ServerContext*,
                          const v1::InterpretVersionRequest* request,
                          v1::InterpretVersionResponse* out) override {
    const Lock lock(state_.mutex);
    state_.interpreted.push_back(*request);
    if (state_.fail) return *state_.fail;
    *out = state_.interpretation;
    return Status::OK;
  }
  Status ListAliases(ServerContext*, const v1::ListAliasesRequest*,
                     v1::ListAliasesResponse* out) override {
    const Lock lock(state_.mutex);
    for (const v1::Alias& alias : state_.aliases) *out->add_aliases() = alias;
    return Status::OK;
  }
  Status SetAlias(ServerContext*, const v1::SetAliasRequest* request,
                  v1::Alias* out) override {
    const Lock lock(state_.mutex);
    if (request->has_expected_version() && request->expected_version() != 1) {
      return RichError(grpc::StatusCode::ABORTED, "ALIAS_MOVED",
                       "production is at version 1: repeat with --expect 1");
    }
    out->set_task(request->task());
    out->set_name(request->name());
    out->set_version(request->version());
    out->set_revision(2);
    state_.aliases.push_back(*out);
    state_.aliases_set.push_back(*request);
    return Status::OK;
  }
  Status GetAlias(ServerContext*, const v1::GetAliasRequest* request,
                  v1::Alias* out) override {
    const Lock lock(state_.mutex);
    state_.aliases_got.push_back(*request);
    out->set_task(request->task());
    out->set_name(request->name());
    out->set_version(4);
    return Status::OK;
  }
  Status RollbackAlias(ServerContext*, const v1::RollbackAliasRequest* request,
                       v1::Alias* out) override {
    const Lock lock(state_.mutex);
    state_.rolled_back.push_back(*request);
    out->set_task(request->task());
    out->set_name(request->name());
    out->set_version(1);
    out->set_revision(3);
    return Status::OK;
  }
  Status DeleteAlias(ServerContext*, const v1::DeleteAliasRequest* request,
                     v1::DeleteAliasResponse*) override {
    const Lock lock(state_.mutex);
    state_.aliases_deleted.push_back(*request);
    return Status::OK;
  }
  // One move a page.
  Status ListAliasHistory(ServerContext*,
                          const v1::ListAliasHistoryRequest* request,
                          v1::ListAliasHistoryResponse* out) override {
    const Lock lock(state_.mutex);
    const size_t at =
        request->page_token().empty() ? 0 : std::stoul(request->page_token());
    *out->add_moves() = state_.moves.at(at);
    if (at + 1 < state_.moves.size()) {
      out->set_next_page_token(std::to_string(at + 1));
    }
    return Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeArchives final : public v1::ArchiveService::Service {
 public:
  explicit FakeArchives(FakeState* state) : state_(*state) {}
  Status ExportArchive(
      ServerContext*, const v1::ExportArchiveRequest* request,
      grpc::ServerWriter<v1::ExportArchiveResponse>* writer) override {
    const Lock lock(state_.mutex);
    if (request->version() == 9) {
      return RichError(grpc::StatusCode::NOT_FOUND, "VERSION_NOT_FOUND",
                       "no version 9");
    }
    v1::ExportArchiveResponse response;
    for (const char c : state_.archive) {
      response.set_chunk(std::string(1, c));
      writer->Write(response);
    }
    return Status::OK;
  }
  Status ImportArchive(ServerContext*,
                       grpc::ServerReader<v1::ImportArchiveRequest>* reader,
                       v1::ImportArchiveResponse* out) override {
    v1::ImportArchiveRequest request;
    const Lock lock(state_.mutex);
    std::string bytes;
    state_.imported_task.clear();
    while (reader->Read(&request)) {
      bytes += request.chunk();
      state_.imported_task += request.task();
    }
    out->set_existed(!state_.imported.empty());
    out->mutable_version()->set_task("pets");
    state_.imported.push_back(bytes);
    return Status::OK;
  }

 private:
  FakeState& state_;
};

class FakeStorage final : public v1::StorageService::Service {
 public:
  explicit FakeStorage(FakeState* state) : state_(*state) {}
  Status CollectGarbage(ServerContext*,
                        const v1::CollectGarbageRequest* request,
                        v1::CollectGarbageResponse* out) override {
    const Lock lock(state_.mutex);
    state_.collected.push_back(*request);
    out->mutable_kept()->set_blobs(7);
    out->mutable_deleted()->set_blobs(3);
    out->mutable_deleted()->set_bytes(2'000'000);
    return Status::OK;
  }

 private:
  FakeState& state_;
};

// "broken" images fail alone; everything else is a cat.
template <typename Request, typename Response>
void Answer(const Request& request, Response* out) {
  for (const std::string& image : request.images()) {
    auto* result = out->add_results();
    result->set_cache(v1::CACHE_STATE_JOIN);
    result->set_batch_size(4);
    if (image == "broken") {
      result->set_error_reason("IMAGE_TRUNCATED");
      result->set_error_message("the image ends early");
      continue;
    }
    auto* score = result->add_scores();
    score->set_class_name("cat");
    score->set_probability(0.75);
  }
}

// Of the images that a request names: one is known.
void AnswerDigests(const FakeState& state, const v1::ClassifyRequest& request,
                   v1::ClassifyResponse* out) {
  for (const std::string& digest : request.image_digests()) {
    auto* result = out->add_results();
    if (absl::BytesToHexString(digest) == state.known_digest) {
      result->set_cache(v1::CACHE_STATE_HIT);
      result->add_scores()->set_class_name("dog");
    } else {
      result->set_error_reason("IMAGE_NOT_CACHED");
    }
  }
}

class FakeClassify final : public v1::ClassifyService::Service {
 public:
  explicit FakeClassify(FakeState* state) : state_(*state) {}
  Status Classify(ServerContext*, const v1::ClassifyRequest* request,
                  v1::ClassifyResponse* out) override {
    const Lock lock(state_.mutex);
    if (state_.fail) return *state_.fail;
    state_.classified.push_back(*request);
    Answer(*request, out);
    AnswerDigests(state_, *request, out);
    out->set_version(request->version() > 0 ? request->version() : 1);
    return Status::OK;
  }
  Status ZeroShotClassify(ServerContext*,
                          const v1::ZeroShotClassifyRequest* request,
                          v1::ClassifyResponse* out) override {
    const Lock lock(state_.mutex);
    state_.zero_shot.push_back(*request);
    Answer(*request, out);
    return Status::OK;
  }
  Status MultiClassify(ServerContext*, const v1::MultiClassifyRequest* request,
                       v1::MultiClassifyResponse* out) override {
    const Lock lock(state_.mutex);
    state_.multi_classified.push_back(*request);
    out->mutable_timings()->mutable_total()->set_nanos(7'000'000);
    for (const v1::TaskChoice& choice : request->tasks()) {
      v1::TaskResult* task = out->add_tasks();
      task->set_task(choice.task());
      if (state_.no_tasks.contains(choice.task())) {
        task->set_error_reason("TASK_NOT_FOUND");
        task->set_error_message("no task \"" + choice.task() + "\"");
        continue;
      }
      task->set_version(choice.version() > 0 ? choice.version() : 1);
      Answer(*request, task);
    }
    return Status::OK;
  }

 private:
  FakeState& state_;
};

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeFakeServices(FakeState* state) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<FakeInfo>(state));
  services.push_back(std::make_unique<FakeEncoders>(state));
  services.push_back(std::make_unique<FakePrompts>(state));
  services.push_back(std::make_unique<FakeClassify>(state));
  services.push_back(std::make_unique<FakeStorage>(state));
  services.push_back(std::make_unique<FakeArchives>(state));
  services.push_back(MakeFakeDatasets(state));
  services.push_back(MakeFakeTraining(state));
  return services;
}

}  // namespace promptd::testing
