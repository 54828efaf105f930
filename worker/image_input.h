// What a call's images are before they are features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/embedding_cache.h"
#include "worker/image_call.h"

namespace promptd::worker {

// What an image holds until it is answered: its bytes, and its pixels; nothing
// where it is only named.
int64_t HeldBytes(const ImageCall& call, size_t index);

// Under which its feature is cached.
EmbeddingKey KeyOf(const ImageCall& call, size_t index);

// One image that is not only named, preprocessed: [3, S, S]. Pixels are moved
// out of the call, so only once. INVALID_ARGUMENT (BAD_IMAGE_SHAPE);
// datasets/preprocess.h.
absl::StatusOr<std::vector<float>> PixelsOf(ImageCall* call, size_t index);

}  // namespace promptd::worker
