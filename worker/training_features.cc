#include "worker/training_features.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/preprocess.h"
#include "worker/item_pixels.h"
#include "worker/prompt_features.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

constexpr size_t kBatch = 32;
constexpr char kTensor[] = "image_features";

// Everything that features depend on: change a recipe's text when its pixels
// or its batches change.
std::string Digest(absl::string_view recipe, const clip::Encoder& encoder,
                   const datasets::Manifest& manifest,
                   const std::vector<int>& items) {
  Sha256 digest;
  digest.Update(absl::StrCat("promptd image features 1\n", recipe, " batch=",
                             kBatch, "\nencoder ", encoder.digest(), "\n"));
  // The encoder's digest is that of its files, whatever its towers compute in.
  if (encoder.precision() != Precision::kFloat32) {
    digest.Update(absl::StrCat(PrecisionName(encoder.precision()), "\n"));
  }
  for (const int item : items) {
    digest.Update(absl::StrCat(manifest.items[item].digest, "\n"));
  }
  return digest.HexDigest();
}

std::string ViewKey(const std::string& views_digest, int view) {
  return Sha256Hex(
      absl::StrCat("promptd view\n", views_digest, "\n", view, "\n"));
}

}  // namespace

std::string TrainingFeatures::ViewsDigest(const datasets::Manifest& manifest,
                                          const std::vector<int>& items) const {
  return Digest(
      "random views 1: torchvision RandomResizedCrop 0.08-1 3/4-4/3 bicubic, "
      "flip 0.5",
      *encoder_, manifest, items);
}

absl::StatusOr<bool> TrainingFeatures::HasView(const std::string& views_digest,
                                               int view) {
  ASSIGN_OR_RETURN(
      const std::optional<std::string> known,
      environment_.control->FindFeatures(ViewKey(views_digest, view)));
  return known.has_value();
}

absl::StatusOr<StoredFeatures> TrainingFeatures::Get(
    const datasets::Manifest& manifest, const std::vector<int>& items) {
  return GetByKey(Digest("views=1", *encoder_, manifest, items), manifest,
                  items, /*view=*/std::nullopt);
}

absl::StatusOr<StoredFeatures> TrainingFeatures::GetView(
    const datasets::Manifest& manifest, const std::vector<int>& items,
    const std::string& views_digest, int view) {
  return GetByKey(ViewKey(views_digest, view), manifest, items, view);
}

absl::StatusOr<StoredFeatures> TrainingFeatures::GetByKey(
    const std::string& key, const datasets::Manifest& manifest,
    const std::vector<int>& items, std::optional<int> view) {
  Control& control = *environment_.control;
  StoredFeatures stored;
  ASSIGN_OR_RETURN(const std::optional<std::string> known,
                   control.FindFeatures(key));
  if (known.has_value()) {
    ASSIGN_OR_RETURN(const std::string bytes, control.GetBlob(*known));
    ASSIGN_OR_RETURN(stored.features, ParseTensor(bytes, kTensor));
    stored.digest = *known;
    return stored;
  }
  ASSIGN_OR_RETURN(stored.features, Encode(manifest, items, view));
  ASSIGN_OR_RETURN(const std::string bytes,
                   SerializeTensor(kTensor, stored.features));
  ASSIGN_OR_RETURN(stored.digest, control.PutBlob(bytes));
  RETURN_IF_ERROR(control.RecordFeatures(key, stored.digest));
  return stored;
}

absl::StatusOr<FloatTensor> TrainingFeatures::Encode(
    const datasets::Manifest& manifest, const std::vector<int>& items,
    std::optional<int> view) {
  const datasets::PreprocessOptions preprocess = PreprocessOptionsOf(*encoder_);
  FloatTensor all;
  for (size_t begin = 0; begin < items.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, items.size() - begin);
    const std::vector<int> part(
        items.begin() + static_cast<ptrdiff_t>(begin),
        items.begin() + static_cast<ptrdiff_t>(begin + count));
    ASSIGN_OR_RETURN(
        const std::vector<std::vector<float>> pixels,
        ItemPixels(environment_.control, environment_.decode_threads,
                   preprocess, manifest, part, view));
    const std::vector<absl::Span<const float>> batch(pixels.begin(),
                                                     pixels.end());
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
