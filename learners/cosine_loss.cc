#include "learners/cosine_loss.h"

namespace promptd::learners {
namespace {

at::Tensor RowNorms(const at::Tensor& rows) {
  return rows.square().sum(1, /*keepdim=*/true).sqrt();
}

}  // namespace

at::Tensor UnitRows(const at::Tensor& rows) { return rows.div(RowNorms(rows)); }

CosineLoss CosineCrossEntropy(const at::Tensor& images, const at::Tensor& text,
                              const at::Tensor& labels, double scale) {
  const at::Tensor norms = RowNorms(text);
  const at::Tensor unit = text.div(norms);                    // [C, E]
  const at::Tensor logits = images.mm(unit.t()).mul_(scale);  // [B, C]
  const at::Tensor log_probabilities = logits.log_softmax(1);
  const at::Tensor column = labels.unsqueeze(1);  // [B, 1]

  CosineLoss result;
  result.loss = -log_probabilities.gather(1, column).mean();
  result.correct = logits.argmax(1).eq(labels).sum();

  at::Tensor d_logits = log_probabilities.exp();
  d_logits.scatter_(1, column, d_logits.gather(1, column).sub(1));
  d_logits.mul_(scale / static_cast<double>(images.size(0)));
  const at::Tensor d_unit = d_logits.t().mm(images);  // [C, E]
  const at::Tensor along = unit.mul(d_unit).sum(1, /*keepdim=*/true);
  result.d_text = d_unit.sub(unit.mul(along)).div(norms);
  return result;
}

}  // namespace promptd::learners
