#include "clip/nearest_tokens.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <cmath>

#include "clip/host_floats.h"
#include "clip/text_tower.h"
#include "clip/torch_status.h"

namespace promptd::clip {
namespace {

double Norm(absl::Span<const float> vector) {
  double square = 0;
  for (const float value : vector) square += double{value} * value;
  return std::sqrt(square);
}

double Distance(absl::Span<const float> a, const float* b) {
  double square = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = double{a[i]} - b[i];
    square += difference * difference;
  }
  return std::sqrt(square);
}

// The candidates `ids` [N] of one vector, ranked by their true distance.
std::vector<NearToken> Rank(const at::Tensor& embedding, const at::Tensor& ids,
                            absl::Span<const float> vector, size_t top_k) {
  const FloatTensor rows = ToFloatTensor(embedding.index_select(0, ids));
  const at::Tensor host = ids.to(at::kCPU);
  const int64_t* id = host.const_data_ptr<int64_t>();
  std::vector<NearToken> tokens;
  for (int64_t i = 0; i < host.numel(); ++i) {
    const float* row = rows.values.data() + i * embedding.size(1);
    tokens.push_back({static_cast<int32_t>(id[i]), Distance(vector, row)});
  }
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  });
  tokens.resize(std::min(top_k, tokens.size()));
  return tokens;
}

// |a - b|^2 orders tokens b as |b|^2 - 2ab does, which one matrix product
// gives. Divided by max(1, |a|), it stays finite for every finite a.
struct Scores {
  at::Tensor values;  // [K, V]
  at::Tensor slack;   // [K, V]: no value is further from the true one
};

Scores Score(const at::Tensor& embedding, absl::Span<const float> vectors,
             const std::vector<VectorNeighbours>& neighbours) {
  const int64_t width = embedding.size(1);
  const auto rows = static_cast<int64_t>(neighbours.size());
  at::Tensor scaled = at::empty({rows, width}, at::kFloat);
  at::Tensor scale = at::empty({rows, 1}, at::kFloat);
  for (int64_t row = 0; row < rows; ++row) {
    const double divisor = std::max(1.0, neighbours[row].norm);
    scale.mutable_data_ptr<float>()[row] = static_cast<float>(1 / divisor);
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      scaled.mutable_data_ptr<float>()[i] =
          static_cast<float>(vectors[i] / divisor);
    }
  }
  scaled = scaled.to(embedding.device());
  const at::Tensor square = embedding.square().sum(1);              // [V]
  const at::Tensor own = scale.to(embedding.device()).mul(square);  // [K, V]
  const at::Tensor length = scaled.square().sum(1, true).sqrt();    // [K, 1]
  const at::Tensor products = length.mul(square.sqrt());            // [K, V]
  // A sum of W products in any order errs by less than W + 1 roundings of the
  // sum of their magnitudes, at most |a||b|; twice that, for the few others.
  const double rounding = 2.0 * (static_cast<double>(width) + 4) * 0x1p-24;
  return {at::addmm(own, scaled, embedding.t(), 1, -2),
          own.add(products, 2).mul(rounding)};
}

std::vector<VectorNeighbours> Compute(const at::Tensor& embedding,
                                      absl::Span<const float> vectors,
                                      int64_t top_k) {
  const auto width = static_cast<size_t>(embedding.size(1));
  std::vector<VectorNeighbours> neighbours(vectors.size() / width);
  for (size_t row = 0; row < neighbours.size(); ++row) {
    neighbours[row].norm = Norm(vectors.subspan(row * width, width));
  }
  top_k = std::min(top_k, embedding.size(0));
  if (neighbours.empty() || top_k < 1) return neighbours;
  // The difference of two near-equal numbers keeps few digits, so the scores
  // only choose candidates: every token that may be among the top k, whatever
  // the rounding was. Those few are measured directly.
  const Scores scores = Score(embedding, vectors, neighbours);
  const at::Tensor kth =
      std::get<0>(at::topk(scores.values.add(scores.slack), top_k, 1,
                           /*largest=*/false))
          .amax(1, /*keepdim=*/true);
  const at::Tensor candidates = scores.values.sub(scores.slack).le(kth);
  for (size_t row = 0; row < neighbours.size(); ++row) {
    const at::Tensor ids =
        at::nonzero(candidates.select(0, static_cast<int64_t>(row))).flatten();
    neighbours[row].tokens =
        Rank(embedding, ids, vectors.subspan(row * width, width),
             static_cast<size_t>(top_k));
  }
  return neighbours;
}

}  // namespace

absl::StatusOr<std::vector<VectorNeighbours>> NearestTokens(
    const TextTower& tower, absl::Span<const float> vectors, int top_k) {
  return Guarded("find the nearest tokens", [&] {
    const at::NoGradGuard no_grad;
    TORCH_CHECK(vectors.size() % static_cast<size_t>(tower.width()) == 0,
                vectors.size(), " numbers are no vectors of ", tower.width());
    return Compute(tower.token_embedding(), vectors, top_k);
  });
}

}  // namespace promptd::clip
