// A version's head as a blob.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/class_head.h"

namespace promptd::worker {

// A safetensors file: of a cosine head "text_features" [C, E], unit rows, and
// "bias" [C] where there is one; of another "weights" [C, E] and "bias" [C].
// The image tower, unless it is the encoder's own, is the metadatum
// "image_tower"; a temperature other than 1 is "temperature". Equal heads give
// equal bytes.
absl::StatusOr<std::string> SerializeHead(const ClassHead& head);

// DATA_LOSS (BLOB_CORRUPT) unless it is a head of an encoder of this width.
absl::StatusOr<ClassHead> ParseHead(absl::string_view bytes, int embed_dim);

// The head with these classes only, in this order; the rows must exist.
ClassHead SelectClasses(const ClassHead& head,
                        const std::vector<int64_t>& rows);

}  // namespace promptd::worker
