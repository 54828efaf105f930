// How the classes of a version score an image: what a classification computes
// with once a method has learned.
#pragma once

#include <string>

#include "common/float_tensor.h"

namespace promptd {

// For an image feature f [E], with the encoder's scale s (exp of its
// logit_scale), the logits of the classes c = 0 .. C-1 are
//   cosine:      z_c = s * cos(f, weights_c) + bias_c, rows of unit length
//   not cosine:  z_c = dot(f, weights_c) + bias_c, f as the tower gives it
// and the probabilities softmax(z / temperature). Prompts are cosine heads
// without bias; a linear probe is not cosine.
struct ClassHead {
  FloatTensor weights;    // [C, E]
  FloatTensor bias = {};  // [C]; its shape is empty when there is none
  bool cosine = true;
  // Digest of the image tower that f comes from, a blob of its tensors; empty:
  // the encoder's own.
  std::string image_tower = {};
  // Fitted on validation images; 1: it was not.
  double temperature = 1;
};

}  // namespace promptd
