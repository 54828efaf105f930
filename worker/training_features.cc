#include "worker/training_features.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/preprocess.h"
#include "worker/parallel.h"
#include "worker/prompt_features.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

constexpr size_t kBatch = 32;
constexpr char kTensor[] = "image_features";

std::string FeatureKey(const clip::Encoder& encoder,
                       const datasets::Manifest& manifest,
                       const std::vector<int>& items) {
  Sha256 key;
  key.Update(absl::StrCat("promptd image features 1\nviews=1 batch=", kBatch,
                          "\nencoder ", encoder.digest(), "\n"));
  for (const int item : items) {
    key.Update(absl::StrCat(manifest.items[item].digest, "\n"));
  }
  return key.HexDigest();
}

}  // namespace

absl::StatusOr<StoredFeatures> TrainingFeatures::Get(
    const datasets::Manifest& manifest, const std::vector<int>& items) {
  Control& control = *environment_.control;
  const std::string key = FeatureKey(*encoder_, manifest, items);
  StoredFeatures stored;
  ASSIGN_OR_RETURN(const std::optional<std::string> known,
                   control.FindFeatures(key));
  if (known.has_value()) {
    ASSIGN_OR_RETURN(const std::string bytes, control.GetBlob(*known));
    ASSIGN_OR_RETURN(stored.features, ParseTensor(bytes, kTensor));
    stored.digest = *known;
    return stored;
  }
  ASSIGN_OR_RETURN(stored.features, Encode(manifest, items));
  ASSIGN_OR_RETURN(const std::string bytes,
                   SerializeTensor(kTensor, stored.features));
  ASSIGN_OR_RETURN(stored.digest, control.PutBlob(bytes));
  RETURN_IF_ERROR(control.RecordFeatures(key, stored.digest));
  return stored;
}

absl::StatusOr<FloatTensor> TrainingFeatures::Encode(
    const datasets::Manifest& manifest, const std::vector<int>& items) {
  const datasets::PreprocessOptions preprocess = PreprocessOptionsOf(*encoder_);
  FloatTensor all;
  for (size_t begin = 0; begin < items.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, items.size() - begin);
    std::vector<absl::StatusOr<std::vector<float>>> pixels(
        count, absl::UnknownError("not decoded"));
    ParallelFor(count, environment_.decode_threads, [&](size_t i) {
      const datasets::Item& item = manifest.items[items[begin + i]];
      absl::StatusOr<std::string> bytes =
          environment_.control->GetBlob(item.digest);
      pixels[i] = bytes.ok() ? datasets::PreprocessImage(*bytes, preprocess)
                             : bytes.status();
    });
    std::vector<absl::Span<const float>> batch;
    for (size_t i = 0; i < count; ++i) {
      if (!pixels[i].ok()) {
        return Annotate(
            pixels[i].status(),
            absl::StrCat("image ", manifest.items[items[begin + i]].path));
      }
      batch.push_back(*pixels[i]);
    }
    RETURN_IF_ERROR(environment_.loop->RunTraining([&]() -> absl::Status {
      ASSIGN_OR_RETURN(const std::vector<float> features,
                       EncodeImageBatch(*encoder_, batch, kBatch));
      all.values.insert(all.values.end(), features.begin(), features.end());
      return absl::OkStatus();
    }));
    RETURN_IF_ERROR(
        environment_.on_progress(static_cast<int64_t>(begin + count),
                                 static_cast<int64_t>(items.size())));
  }
  const int64_t rows = static_cast<int64_t>(items.size());
  const int64_t width =
      rows == 0 ? 0 : static_cast<int64_t>(all.values.size()) / rows;
  all.shape = {rows, width};
  return all;
}

}  // namespace promptd::worker
