#include "worker/image_input.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "datasets/preprocess.h"
#include "worker/prompt_features.h"

namespace promptd::worker {
namespace {

size_t PixelNumbers(const ImageCall& call) {
  const size_t side = call.encoder->config().vision.image_size;
  return 3 * side * side;
}

}  // namespace

int64_t HeldBytes(const ImageCall& call, size_t index) {
  const size_t file =
      call.request.pixels.empty() ? call.request.images[index].size() : 0;
  return static_cast<int64_t>(file + PixelNumbers(call) * sizeof(float));
}

EmbeddingKey KeyOf(const ImageCall& call, size_t index) {
  const ClassifyCall& request = call.request;
  if (request.pixels.empty()) {
    return EmbeddingKeyOf(request.tenant, TowerKey(call), ImageKind::kFile,
                          request.images[index]);
  }
  const std::vector<float>& pixels = request.pixels[index];
  return EmbeddingKeyOf(
      request.tenant, TowerKey(call), ImageKind::kPixels,
      absl::string_view(reinterpret_cast<const char*>(pixels.data()),
                        pixels.size() * sizeof(float)));
}

absl::StatusOr<std::vector<float>> PixelsOf(ImageCall* call, size_t index) {
  if (call->request.pixels.empty()) {
    return datasets::PreprocessImage(call->request.images[index],
                                     PreprocessOptionsOf(*call->encoder));
  }
  std::vector<float> pixels = std::move(call->request.pixels[index]);
  if (pixels.size() == PixelNumbers(*call)) return pixels;
  const size_t side = call->encoder->config().vision.image_size;
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_IMAGE_SHAPE",
                   absl::StrCat("an image of this encoder has 3 x ", side,
                                " x ", side, " numbers, not ", pixels.size()));
}

}  // namespace promptd::worker
