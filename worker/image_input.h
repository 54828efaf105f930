// What a call's images are before they are features.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "worker/embedding_cache.h"
#include "worker/image_call.h"

namespace promptd::worker {

// What an image holds until it is answered: its bytes, and its pixels; nothing
// where it is only named.
int64_t HeldBytes(const ImageCall& call, size_t index);

// Under which its feature is cached.
EmbeddingKey KeyOf(const ImageCall& call, size_t index);

// Makes the pixels of an image that is not only named ready: a file is decoded,
// what came as pixels is looked at. INVALID_ARGUMENT (BAD_IMAGE_SHAPE);
// datasets/preprocess.h.
absl::Status Prepare(CallImage* image);

// [3, S, S] of an image that was prepared; the call's own memory where it came
// as pixels. Valid as long as the image.
absl::Span<const float> PixelsOf(const CallImage& image);

}  // namespace promptd::worker
