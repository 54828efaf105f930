// What the models of the Open Inference Protocol are here.
//
//   TASK or TASK@ALIAS   a version of a task's prompt
//   _image_encoder       features of images, encoded or as pixels
//   _pixel_encoder       the same of pixels only, all dimensions fixed
//   _text_encoder        features of texts
//   _zero_shot           labels that come with the request
//
// Behind the last four "@NAME" chooses the encoder, else it is the default one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "inference/inference.pb.h"
#include "server/backend.h"
#include "server/version_pins.h"
#include "worker/executor.h"

namespace promptd::server {

// The tensors' names.
inline constexpr char kImageInput[] = "IMAGE";    // BYTES: JPEG, PNG, WebP
inline constexpr char kPixelsInput[] = "PIXELS";  // FP32, preprocessed
inline constexpr char kTextInput[] = "TEXT";
inline constexpr char kLabelsInput[] = "LABELS";
inline constexpr char kTemplateInput[] = "TEMPLATE";
inline constexpr char kProbabilityOutput[] = "PROBABILITY";
inline constexpr char kSimilarityOutput[] = "SIMILARITY";
inline constexpr char kLabelOutput[] = "LABEL";
inline constexpr char kEmbeddingOutput[] = "EMBEDDING";

enum class ModelKind { kTask, kImages, kPixels, kTexts, kZeroShot };

struct TensorSpec {
  std::string name;
  std::string datatype;       // "BYTES" or "FP32"
  std::vector<int64_t> dims;  // without the batch; -1: any
  bool optional = false;
};

struct InferModel {
  ModelKind kind = ModelKind::kTask;
  std::string name;           // as asked for
  std::string version = "1";  // concrete
  worker::EncoderDescription encoder;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // Rows of a request; 0: the first dimension is not a batch.
  int max_batch = 0;
  VersionPin pin;  // of a task
};

// The model that `name` and `version` (a number; empty: the alias behind "@",
// else "production") mean. NOT_FOUND (TASK_NOT_FOUND, ALIAS_NOT_FOUND,
// VERSION_NOT_FOUND, ENCODER_NOT_FOUND, MODEL_NOT_FOUND); INVALID_ARGUMENT
// (INVALID_INFER_REQUEST) for a version that is no number, or beside an alias.
absl::StatusOr<InferModel> FindModel(const Backend& backend,
                                     const std::string& tenant,
                                     const std::string& name,
                                     const std::string& version);

// How many classes the model's images are scored against (an encoder: 0), if
// all that it takes is in memory, most likely (server/classify_calls.h).
std::optional<size_t> ClassesAtHand(const Backend& backend,
                                    const std::string& tenant,
                                    const std::string& name,
                                    const std::string& version);

// The names of the models that are no tasks.
std::vector<std::string> FixedModels();

void ToProto(const InferModel& model, inference::ModelMetadataResponse* out);
void ToProto(const InferModel& model, inference::ModelConfig* out);

}  // namespace promptd::server
