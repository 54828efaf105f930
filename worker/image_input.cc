#include "worker/image_input.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/preprocess.h"
#include "worker/keyed_hash.h"
#include "worker/prompt_features.h"

namespace promptd::worker {
namespace {

size_t PixelNumbers(const ImageCall& call) {
  const size_t side = call.encoder->config().vision.image_size;
  return 3 * side * side;
}

}  // namespace

int64_t HeldBytes(const ImageCall& call, size_t index) {
  if (IsByDigest(call.request, index)) return 0;
  const size_t file =
      call.request.pixels.empty() ? call.request.images[index].size() : 0;
  return static_cast<int64_t>(file + PixelNumbers(call) * sizeof(float));
}

EmbeddingKey KeyOf(const ImageCall& call, size_t index) {
  const ClassifyCall& request = call.request;
  if (IsByDigest(request, index)) {
    return EmbeddingKeyOf(request.tenant, TowerKey(call), ImageKind::kFile,
                          request.image_digests[index - request.images.size()]);
  }
  if (request.pixels.empty()) {
    return EmbeddingKeyOf(request.tenant, TowerKey(call), ImageKind::kFile,
                          Sha256Bytes(request.images[index]));
  }
  // Many times a file's bytes, and no client names them.
  const absl::Span<const float> pixels = request.pixels[index];
  return EmbeddingKeyOf(request.tenant, TowerKey(call), ImageKind::kPixels,
                        KeyedHash({reinterpret_cast<const char*>(pixels.data()),
                                   pixels.size() * sizeof(float)}));
}

absl::Status Prepare(CallImage* image) {
  const ImageCall& call = *image->call;
  if (call.request.pixels.empty()) {
    ASSIGN_OR_RETURN(image->decoded, datasets::PreprocessImage(
                                         call.request.images[image->index],
                                         PreprocessOptionsOf(*call.encoder)));
    return absl::OkStatus();
  }
  const size_t numbers = call.request.pixels[image->index].size();
  if (numbers == PixelNumbers(call)) return absl::OkStatus();
  const size_t side = call.encoder->config().vision.image_size;
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_IMAGE_SHAPE",
                   absl::StrCat("an image of this encoder has 3 x ", side,
                                " x ", side, " numbers, not ", numbers));
}

absl::Span<const float> PixelsOf(const CallImage& image) {
  const ClassifyCall& request = image.call->request;
  if (request.pixels.empty()) return image.decoded;
  return request.pixels[image.index];
}

}  // namespace promptd::worker
