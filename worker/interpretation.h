// A learned context read in words: what Executor::Interpret takes and gives.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace promptd::worker {

// Which words lie near the vectors of a learned context.
struct InterpretCall {
  std::string encoder_digest;
  // Of a safetensors blob with "ctx" float32: [M, W], shared by all classes, or
  // [C, M, W].
  std::string context_digest;
  int classes = 0;         // C; 0: shared by all
  int context_tokens = 0;  // M
  // The classes to read of [C, M, W], each in [0, C).
  std::vector<int> class_indexes;
  int top_k = 3;  // at least 1
  absl::Time deadline = absl::InfiniteFuture();
  // Polled between the steps. May be empty.
  std::function<bool()> cancelled;
};

struct NearWord {
  std::string token;  // as the vocabulary writes it, e.g. "photo</w>"
  int token_id = 0;
  double distance = 0;  // Euclidean, to the token's embedding
};

struct VectorWords {
  double norm = 0;              // Euclidean length of the vector
  std::vector<NearWord> words;  // nearest first, ties by the lower id
};

}  // namespace promptd::worker
