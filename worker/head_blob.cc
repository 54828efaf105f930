#include "worker/head_blob.h"

#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

constexpr char kTextFeatures[] = "text_features";
constexpr char kWeights[] = "weights";
constexpr char kBias[] = "bias";
constexpr char kImageTower[] = "image_tower";
constexpr char kTemperature[] = "temperature";

absl::Status Corrupt(const std::string& why) {
  return MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT",
                   absl::StrCat("the stored head ", why));
}

FloatTensor SelectRows(const FloatTensor& tensor,
                       const std::vector<int64_t>& rows) {
  FloatTensor selected;
  selected.shape = tensor.shape;
  selected.shape[0] = static_cast<int64_t>(rows.size());
  const int64_t width = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
  for (const int64_t row : rows) {
    const auto values = tensor.values.begin() + row * width;
    selected.values.insert(selected.values.end(), values, values + width);
  }
  return selected;
}

}  // namespace

absl::StatusOr<std::string> SerializeHead(const ClassHead& head) {
  std::map<std::string, FloatTensor> tensors;
  tensors[head.cosine ? kTextFeatures : kWeights] = head.weights;
  if (!head.bias.shape.empty()) tensors[kBias] = head.bias;
  std::map<std::string, std::string> metadata;
  if (!head.image_tower.empty()) metadata[kImageTower] = head.image_tower;
  if (head.temperature != 1) {
    metadata[kTemperature] = absl::StrFormat("%.17g", head.temperature);
  }
  return SerializeTensors(tensors, metadata);
}

absl::StatusOr<ClassHead> ParseHead(absl::string_view bytes, int embed_dim) {
  ASSIGN_OR_RETURN(NamedTensors parsed, ParseTensors(bytes, "head"));
  auto& tensors = parsed.tensors;
  ClassHead head;
  head.image_tower = parsed.metadata[kImageTower];
  const auto temperature = parsed.metadata.find(kTemperature);
  if (temperature != parsed.metadata.end() &&
      (!absl::SimpleAtod(temperature->second, &head.temperature) ||
       !std::isfinite(head.temperature) || head.temperature <= 0)) {
    return Corrupt("has a temperature that is no positive number");
  }
  head.cosine = tensors.contains(kTextFeatures);
  if (!head.cosine && !tensors.contains(kWeights)) {
    return Corrupt("has neither text_features nor weights");
  }
  head.weights = std::move(tensors[head.cosine ? kTextFeatures : kWeights]);
  if (head.weights.shape.size() != 2 || head.weights.shape[0] < 1 ||
      head.weights.shape[1] != embed_dim) {
    return Corrupt(absl::StrCat("is not [classes, ", embed_dim, "]"));
  }
  const auto bias = tensors.find(kBias);
  if (bias != tensors.end()) {
    head.bias = std::move(bias->second);
    if (head.bias.shape != std::vector<int64_t>{head.weights.shape[0]}) {
      return Corrupt("has another number of biases than of classes");
    }
  } else if (!head.cosine) {
    return Corrupt("has no bias");
  }
  if (tensors.size() != (bias != tensors.end() ? 2u : 1u)) {
    return Corrupt("has tensors that belong to no head");
  }
  return head;
}

ClassHead SelectClasses(const ClassHead& head,
                        const std::vector<int64_t>& rows) {
  ClassHead selected;
  selected.cosine = head.cosine;
  selected.image_tower = head.image_tower;
  selected.temperature = head.temperature;
  selected.weights = SelectRows(head.weights, rows);
  if (!head.bias.shape.empty()) selected.bias = SelectRows(head.bias, rows);
  return selected;
}

}  // namespace promptd::worker
