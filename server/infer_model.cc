#include "server/infer_model.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/classify_calls.h"
#include "server/spec_resolver.h"

namespace promptd::server {
namespace {

constexpr char kPlatform[] = "promptd";
constexpr int64_t kAny = -1;

struct FixedModel {
  const char* name;
  ModelKind kind;
};
constexpr FixedModel kFixedModels[] = {
    {"_image_encoder", ModelKind::kImages},
    {"_pixel_encoder", ModelKind::kPixels},
    {"_text_encoder", ModelKind::kTexts},
    {"_zero_shot", ModelKind::kZeroShot},
};

// Null when it is none of them.
const FixedModel* FindFixedModel(absl::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kFixedModels), std::end(kFixedModels),
                   [&](const FixedModel& fixed) { return name == fixed.name; });
  return found == std::end(kFixedModels) ? nullptr : found;
}

absl::Status BadRequest(const std::string& field, const std::string& why) {
  return InvalidFields("INVALID_INFER_REQUEST", {{field, why}});
}

// Splits "name@behind".
std::pair<std::string, std::string> SplitName(const std::string& name) {
  const size_t at = name.find('@');
  if (at == std::string::npos) return {name, ""};
  return {name.substr(0, at), name.substr(at + 1)};
}

void DescribeTensors(const Limits& limits, InferModel* model) {
  const int64_t side = model->encoder.image_size;
  const int64_t width = model->encoder.embed_dim;
  const TensorSpec image{kImageInput, "BYTES", {1}, true};
  const TensorSpec pixels{kPixelsInput, "FP32", {3, side, side}, true};
  const TensorSpec embedding{kEmbeddingOutput, "FP32", {width}, false};
  model->max_batch = limits.max_images_per_call;
  switch (model->kind) {
    case ModelKind::kTask: {
      const auto classes = static_cast<int64_t>(model->pin->class_names.size());
      model->inputs = {image, pixels};
      model->outputs = {{kProbabilityOutput, "FP32", {classes}, false},
                        {kSimilarityOutput, "FP32", {classes}, false},
                        {kLabelOutput, "BYTES", {1}, false}};
      return;
    }
    case ModelKind::kImages:
      model->inputs = {image, pixels};
      model->outputs = {embedding};
      return;
    case ModelKind::kPixels:
      model->inputs = {pixels};
      model->inputs[0].optional = false;
      model->outputs = {embedding};
      return;
    case ModelKind::kTexts:
      model->max_batch = limits.max_texts_per_call;
      model->inputs = {{kTextInput, "BYTES", {1}, false}};
      model->outputs = {embedding};
      return;
    case ModelKind::kZeroShot:
      // The labels are no rows of a batch.
      model->max_batch = 0;
      model->inputs = {{kImageInput, "BYTES", {kAny}, false},
                       {kLabelsInput, "BYTES", {kAny}, false},
                       {kTemplateInput, "BYTES", {1}, true}};
      model->outputs = {{kProbabilityOutput, "FP32", {kAny, kAny}, false},
                        {kSimilarityOutput, "FP32", {kAny, kAny}, false},
                        {kLabelOutput, "BYTES", {kAny}, false}};
      return;
  }
}

absl::StatusOr<InferModel> FindFixed(const Backend& backend,
                                     const FixedModel& fixed,
                                     const std::string& name,
                                     const std::string& encoder,
                                     const std::string& version) {
  if (!version.empty() && version != "1") {
    return MakeError(
        absl::StatusCode::kNotFound, "VERSION_NOT_FOUND",
        absl::StrCat("model ", name, " has version 1 only, not ", version));
  }
  InferModel model;
  model.kind = fixed.kind;
  model.name = name;
  ASSIGN_OR_RETURN(model.encoder, FindEncoder(backend, encoder));
  DescribeTensors(backend.limits, &model);
  return model;
}

absl::StatusOr<VersionPin> FindVersion(const Backend& backend,
                                       const std::string& tenant,
                                       const std::string& task,
                                       const std::string& alias,
                                       const std::string& version) {
  if (version.empty()) return backend.pins->ByAlias(tenant, task, alias);
  if (!alias.empty()) {
    return BadRequest("model_version",
                      "is given beside an alias: use one of the two");
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(version, &number) || number < 1) {
    return BadRequest(
        "model_version",
        absl::StrCat("is \"", version,
                     "\": versions are numbers from 1; an alias goes behind "
                     "the model's name, as in ",
                     task, "@production"));
  }
  return backend.pins->ByNumber(tenant, task, number);
}

inference::DataType ConfigType(const std::string& datatype) {
  return datatype == "BYTES" ? inference::TYPE_STRING : inference::TYPE_FP32;
}

}  // namespace

absl::StatusOr<InferModel> FindModel(const Backend& backend,
                                     const std::string& tenant,
                                     const std::string& name,
                                     const std::string& version) {
  const auto& [first, behind] = SplitName(name);
  if (const FixedModel* const fixed = FindFixedModel(first)) {
    return FindFixed(backend, *fixed, name, behind, version);
  }
  if (first.empty() || first[0] == '_') {
    return MakeError(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND",
                     absl::StrCat("Request for unknown model: \"", name,
                                  "\" is no task and none of ",
                                  absl::StrJoin(FixedModels(), ", ")));
  }
  InferModel model;
  ASSIGN_OR_RETURN(model.pin,
                   FindVersion(backend, tenant, first, behind, version));
  model.name = name;
  model.version = absl::StrCat(model.pin->version);
  for (worker::EncoderDescription& encoder : backend.executor->Encoders()) {
    if (encoder.digest == model.pin->encoder_digest) model.encoder = encoder;
  }
  if (model.encoder.digest.empty()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "ENCODER_NOT_HELD",
                     absl::StrCat("no worker holds the encoder of task ", first,
                                  ": start promptd with it again"));
  }
  DescribeTensors(backend.limits, &model);
  return model;
}

std::optional<size_t> ClassesAtHand(const Backend& backend,
                                    const std::string& tenant,
                                    const std::string& name,
                                    const std::string& version) {
  const auto& [first, behind] = SplitName(name);
  if (const FixedModel* const fixed = FindFixedModel(first)) {
    // Texts are tokenized first.
    const bool images =
        fixed->kind == ModelKind::kImages || fixed->kind == ModelKind::kPixels;
    return images ? std::optional<size_t>(0) : std::nullopt;
  }
  int64_t number = 0;
  const bool by_number = absl::SimpleAtoi(version, &number);
  const VersionPin pin =
      by_number ? backend.pins->KnownByNumber(tenant, first, number)
                : backend.pins->KnownByAlias(tenant, first, behind);
  if (!IsAtHand(backend, pin)) return std::nullopt;
  return pin->class_names.size();
}

std::vector<std::string> FixedModels() {
  std::vector<std::string> names;
  for (const FixedModel& fixed : kFixedModels) names.emplace_back(fixed.name);
  return names;
}

void ToProto(const InferModel& model, inference::ModelMetadataResponse* out) {
  const auto fill = [&](const TensorSpec& spec, auto* tensor) {
    tensor->set_name(spec.name);
    tensor->set_datatype(spec.datatype);
    if (model.max_batch > 0) tensor->add_shape(kAny);
    tensor->mutable_shape()->Add(spec.dims.begin(), spec.dims.end());
  };
  out->set_name(model.name);
  out->add_versions(model.version);
  out->set_platform(kPlatform);
  for (const TensorSpec& input : model.inputs) fill(input, out->add_inputs());
  for (const TensorSpec& output : model.outputs) {
    fill(output, out->add_outputs());
  }
  auto& properties = *out->mutable_properties();
  properties["encoder"] = model.encoder.name;
  properties["encoder_digest"] = model.encoder.digest;
  if (model.kind != ModelKind::kTask) return;
  properties["version_digest"] = model.pin->digest;
  properties["class_names"] = absl::StrJoin(model.pin->class_names, "\n");
}

void ToProto(const InferModel& model, inference::ModelConfig* out) {
  out->set_name(model.name);
  out->set_platform(kPlatform);
  out->set_backend(kPlatform);
  out->set_max_batch_size(model.max_batch);
  for (const TensorSpec& spec : model.inputs) {
    inference::ModelInput* input = out->add_input();
    input->set_name(spec.name);
    input->set_data_type(ConfigType(spec.datatype));
    input->mutable_dims()->Add(spec.dims.begin(), spec.dims.end());
    input->set_optional(spec.optional);
  }
  for (const TensorSpec& spec : model.outputs) {
    inference::ModelOutput* output = out->add_output();
    output->set_name(spec.name);
    output->set_data_type(ConfigType(spec.datatype));
    output->mutable_dims()->Add(spec.dims.begin(), spec.dims.end());
  }
  // Requests of all models that share an encoder are batched together.
  if (model.max_batch > 0) out->mutable_dynamic_batching();
}

}  // namespace promptd::server
