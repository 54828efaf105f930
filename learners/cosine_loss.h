// CLIP's classification loss and its gradient by the text features.
#pragma once

#include <ATen/core/Tensor.h>

namespace promptd::learners {

// Each row of a matrix divided by its length.
at::Tensor UnitRows(const at::Tensor& rows);

struct CosineLoss {
  // On the device; whoever reads one waits for it.
  at::Tensor loss;     // [], mean over the batch
  at::Tensor correct;  // [], images whose best class is their label
  at::Tensor d_text;   // [C, E], gradient by the unnormalised text features
};

// images [B, E] with unit rows, text [C, E] not normalised, labels [B] int64:
//   z = scale * images * normalize(text)^T,   loss = mean cross-entropy(z)
//   d normalize(text) = scale * (softmax(z) - onehot)^T * images / B
// carried through the normalisation. CoOp's CustomCLIP.forward with
// F.cross_entropy. Throws c10::Error; callers hold a no-grad guard.
CosineLoss CosineCrossEntropy(const at::Tensor& images, const at::Tensor& text,
                              const at::Tensor& labels, double scale);

}  // namespace promptd::learners
