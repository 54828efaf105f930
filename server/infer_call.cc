#include "server/infer_call.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/classify_calls.h"
#include "server/infer_model.h"
#include "server/infer_request.h"
#include "server/infer_tensors.h"
#include "server/item_checks.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

// A request under way; shared with the executor's callback.
struct Inference {
  InferModel model;
  InferWork work;
  // Of the model's version, or the labels of `work`.
  const std::vector<std::string>* class_names = nullptr;
};

// "probability:index:name", the protocol's form of a ranked class.
std::vector<std::string> TopClasses(const worker::ImageOutcome& image,
                                    const std::vector<std::string>& names,
                                    int64_t most, bool probability) {
  std::vector<std::string> out;
  for (const worker::Scored& scored : image.scores.front()) {
    if (static_cast<int64_t>(out.size()) == most) break;
    out.push_back(
        absl::StrCat(probability ? scored.probability : scored.similarity, ":",
                     scored.class_index, ":", names[scored.class_index]));
  }
  return out;
}

void AddScores(const Inference& inference, const WantedOutput& wanted,
               const std::vector<worker::ImageOutcome>& images,
               inference::ModelInferResponse* reply) {
  const auto rows = static_cast<int64_t>(images.size());
  const auto classes = static_cast<int64_t>(inference.class_names->size());
  const bool probability = wanted.name == kProbabilityOutput;
  if (wanted.classification > 0) {
    const int64_t top = std::min(wanted.classification, classes);
    std::vector<std::string> texts;
    for (const worker::ImageOutcome& image : images) {
      for (std::string& text :
           TopClasses(image, *inference.class_names, top, probability)) {
        texts.push_back(std::move(text));
      }
    }
    return AddBytesOutput(wanted.name, {rows, top}, texts, reply);
  }
  std::vector<float> values(static_cast<size_t>(rows * classes));
  for (int64_t row = 0; row < rows; ++row) {
    for (const worker::Scored& scored : images[row].scores.front()) {
      values[row * classes + scored.class_index] =
          probability ? scored.probability : scored.similarity;
    }
  }
  AddFloatOutput(wanted.name, {rows, classes}, values, reply);
}

void AddLabels(const Inference& inference,
               const std::vector<worker::ImageOutcome>& images,
               inference::ModelInferResponse* reply) {
  const auto rows = static_cast<int64_t>(images.size());
  std::vector<std::string> best;
  best.reserve(images.size());
  for (const worker::ImageOutcome& image : images) {
    best.push_back(
        (*inference.class_names)[image.scores.front().at(0).class_index]);
  }
  std::vector<int64_t> shape = {rows};
  if (inference.model.max_batch > 0) shape.push_back(1);
  AddBytesOutput(kLabelOutput, shape, best, reply);
}

// `Outcomes` of images or texts.
template <typename Outcomes>
void AddEmbeddings(const Inference& inference, const Outcomes& outcomes,
                   inference::ModelInferResponse* reply) {
  std::vector<float> values;
  for (const auto& one : outcomes) {
    const std::vector<float>& feature = one.embedding.values;
    values.insert(values.end(), feature.begin(), feature.end());
  }
  AddFloatOutput(kEmbeddingOutput,
                 {static_cast<int64_t>(outcomes.size()),
                  inference.model.encoder.embed_dim},
                 values, reply);
}

// The first item that has no answer, as the request's error.
template <typename Outcomes>
absl::Status FirstError(const Outcomes& outcomes) {
  for (size_t row = 0; row < outcomes.size(); ++row) {
    if (!outcomes[row].status.ok()) {
      return Annotate(outcomes[row].status, absl::StrCat("row ", row));
    }
  }
  return absl::OkStatus();
}

absl::Status FillImages(const Inference& inference,
                        const worker::ClassifyOutcome& outcome,
                        inference::ModelInferResponse* reply) {
  RETURN_IF_ERROR(FirstError(outcome.images));
  for (const WantedOutput& wanted : inference.work.outputs) {
    if (wanted.name == kEmbeddingOutput) {
      AddEmbeddings(inference, outcome.images, reply);
    } else if (wanted.name == kLabelOutput) {
      AddLabels(inference, outcome.images, reply);
    } else {
      AddScores(inference, wanted, outcome.images, reply);
    }
  }
  return absl::OkStatus();
}

// Outputs that go into shared memory leave the reply, but for an empty entry:
// clients count on one for each output.
absl::Status WriteShared(const InferWork& work,
                         inference::ModelInferResponse* reply) {
  for (int i = 0; i < reply->outputs_size(); ++i) {
    const WantedOutput& wanted = work.outputs[static_cast<size_t>(i)];
    if (wanted.region == nullptr) continue;
    std::string* const raw = reply->mutable_raw_output_contents(i);
    if (raw->size() > wanted.place.bytes) {
      return InvalidFields(
          "INVALID_INFER_REQUEST",
          {{absl::StrCat("outputs[", i, "] (", wanted.name, ")"),
            absl::StrCat("has ", raw->size(), " bytes, its place in region \"",
                         wanted.place.region, "\" ", wanted.place.bytes)}});
    }
    RETURN_IF_ERROR(wanted.region->Write(wanted.place.offset, *raw));
    InferParameters& parameters =
        *reply->mutable_outputs(i)->mutable_parameters();
    parameters["shared_memory_region"].set_string_param(wanted.place.region);
    parameters["shared_memory_offset"].set_int64_param(
        static_cast<int64_t>(wanted.place.offset));
    parameters["shared_memory_byte_size"].set_int64_param(
        static_cast<int64_t>(raw->size()));
    raw->clear();
  }
  return absl::OkStatus();
}

absl::Status NameVersion(const absl::Status& status, const InferModel& model) {
  if (model.kind != ModelKind::kTask) return status;
  // Without the alias.
  return NameDamage(status, model.name.substr(0, model.name.find('@')),
                    model.pin->version);
}

// Borrows images and pixels of the request.
absl::StatusOr<worker::ClassifyCall> ImagesCall(const Backend& backend,
                                                Inference* inference) {
  InferWork& work = inference->work;
  const InferModel& model = inference->model;
  worker::ClassifyCall call;
  call.encoder_digest = model.encoder.digest;
  call.images = std::move(work.images);
  call.pixels = std::move(work.pixels);
  call.no_cache = work.no_cache;
  worker::HeadQuery head;
  if (model.kind == ModelKind::kTask) {
    inference->class_names = &model.pin->class_names;
    head.text.features_digest = model.pin->features_digest;
  } else if (model.kind == ModelKind::kZeroShot) {
    std::vector<FieldViolation> violations;
    CheckItemCount("inputs (IMAGE)", static_cast<int>(call.images.size()),
                   backend.limits.max_images_per_call, &violations);
    head.text.texts = ZeroShotTexts(backend.limits, work.labels,
                                    work.label_template, &violations);
    if (!violations.empty()) {
      return InvalidFields("INVALID_INFER_REQUEST", violations);
    }
    inference->class_names = &work.labels;
  } else {
    call.embed = true;
    return call;
  }
  head.top_k = static_cast<int>(inference->class_names->size());
  call.heads.push_back(std::move(head));
  return call;
}

class Run : public std::enable_shared_from_this<Run> {
 public:
  Run(const Backend& backend, InferState* state, std::shared_ptr<Call> call,
      const inference::ModelInferRequest& request,
      inference::ModelInferResponse* reply, Rpc::Done done)
      : backend_(backend),
        state_(state),
        call_(std::move(call)),
        request_(request),
        reply_(reply),
        done_(std::move(done)) {}

  void Start() {
    const absl::Status prepared = Prepare();
    if (!prepared.ok()) return End(prepared, {});
    if (inference_.model.kind == ModelKind::kTexts) return EmbedTexts();
    Classify();
  }

 private:
  absl::Status Prepare() {
    ASSIGN_OR_RETURN(
        inference_.model,
        FindModel(backend_, call_->principal().tenant, request_.model_name(),
                  request_.model_version()));
    ASSIGN_OR_RETURN(inference_.work,
                     ReadRequest(inference_.model, request_,
                                 {&state_->regions, call_->principal().tenant,
                                  backend_.limits.max_message_bytes}));
    reply_->set_model_name(inference_.model.name);
    reply_->set_model_version(inference_.model.version);
    reply_->set_id(request_.id());
    return absl::OkStatus();
  }

  absl::Time Deadline() const {
    // A stream has no deadline of its own.
    return std::min({call_->deadline(), start_ + inference_.work.timeout,
                     start_ + backend_.limits.max_classify_deadline});
  }

  void Classify() {
    absl::StatusOr<worker::ClassifyCall> work =
        ImagesCall(backend_, &inference_);
    if (!work.ok()) return End(work.status(), {});
    work->tenant = call_->principal().tenant;
    work->deadline = Deadline();
    work->cancelled = call_->CancelledFunction();
    backend_.executor->Classify(
        *std::move(work),
        [self = shared_from_this()](
            const absl::StatusOr<worker::ClassifyOutcome>& outcome) {
          const absl::Status status =
              Guarded(*self->call_, [&]() -> absl::Status {
                RETURN_IF_ERROR(
                    NameVersion(outcome.status(), self->inference_.model));
                RETURN_IF_ERROR(
                    FillImages(self->inference_, *outcome, self->reply_));
                return WriteShared(self->inference_.work, self->reply_);
              });
          self->End(status,
                    outcome.ok() ? outcome->timings : worker::StageTimings());
        });
  }

  void EmbedTexts() {
    worker::EmbedTextsCall work;
    work.encoder_digest = inference_.model.encoder.digest;
    work.texts = std::move(inference_.work.texts);
    work.deadline = Deadline();
    work.cancelled = call_->CancelledFunction();
    backend_.executor->EmbedTexts(
        std::move(work),
        [self = shared_from_this()](
            const absl::StatusOr<std::vector<worker::TextOutcome>>& outcome) {
          self->End(
              Guarded(*self->call_,
                      [&]() -> absl::Status {
                        RETURN_IF_ERROR(outcome.status());
                        RETURN_IF_ERROR(FirstError(*outcome));
                        AddEmbeddings(self->inference_, *outcome, self->reply_);
                        return WriteShared(self->inference_.work, self->reply_);
                      }),
              {});
        });
  }

  void End(const absl::Status& status, const worker::StageTimings& timings) {
    const absl::Time now = absl::Now();
    const InferModel& model = inference_.model;
    if (status.ok()) {
      state_->statistics.Succeeded(model.name, model.version,
                                   inference_.work.rows, now - start_, timings,
                                   now);
    } else if (!model.name.empty()) {
      state_->statistics.Failed(model.name, model.version, now - start_);
    }
    done_(status);
  }

  const Backend& backend_;
  InferState* const state_;
  const std::shared_ptr<Call> call_;
  const inference::ModelInferRequest& request_;
  inference::ModelInferResponse* const reply_;
  const Rpc::Done done_;
  const absl::Time start_ = absl::Now();
  Inference inference_;
};

}  // namespace

Where WhereToInfer(const Backend& backend, const Call& call,
                   const inference::ModelInferRequest& request) {
  // How much there is to copy out of shared memory, the message does not say.
  if (request.inputs_size() != 1 || request.inputs(0).shape_size() == 0 ||
      !request.inputs(0).parameters().empty()) {
    return Where::kPool;
  }
  const int64_t rows = request.inputs(0).shape(0);
  const std::optional<size_t> classes =
      ClassesAtHand(backend, call.principal().tenant, request.model_name(),
                    request.model_version());
  if (rows < 0 || !classes) return Where::kPool;
  return WhereToRun(request.ByteSizeLong(), static_cast<size_t>(rows),
                    *classes);
}

void Infer(const Backend& backend, InferState* state,
           const std::shared_ptr<Call>& call,
           const inference::ModelInferRequest& request,
           inference::ModelInferResponse* reply, const Rpc::Done& done) {
  std::make_shared<Run>(backend, state, call, request, reply, done)->Start();
}

}  // namespace promptd::server
