// The text side of a CoOp training step, forward and backward to the context:
// promptd's packed path against the plain 77-token path with autograd, in one
// process, on a text tower of CLIP's real size with random weights.
//
//   OMP_NUM_THREADS=2 training_step_bench [--benchmark_min_time=...]
//
// Ends with one line a class count: the ratio of the median wall times, and
// that of the processor times, which other load on the machine disturbs less.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "clip/plain_text_encoder.h"
#include "clip/prompt_batch.h"
#include "clip/text_tower.h"
#include "common/check.h"

namespace promptd::clip {
namespace {

constexpr int kContextTokens = 16;
constexpr int64_t kWidth = 512;
constexpr int kLayers = 12;
constexpr int64_t kContextLength = 77;

// Random weights of open_clip's scales.
TextWeights RandomWeights() {
  TextWeights tower;
  tower.config.vocab_size = 1024;
  tower.embed_dim = 512;
  tower.quick_gelu = true;
  const auto normal = [](at::IntArrayRef shape, double scale) {
    return at::randn(shape).mul_(scale);
  };
  const int64_t w = kWidth;
  tower.token_embedding = normal({tower.config.vocab_size, w}, 0.02);
  tower.positional_embedding = normal({kContextLength, w}, 0.01);
  for (int layer = 0; layer < kLayers; ++layer) {
    BlockWeights block;
    block.ln_1_weight = normal({w}, 0.1).add_(1);
    block.ln_1_bias = normal({w}, 0.1);
    block.in_proj_weight = normal({3 * w, w}, 0.044);
    block.in_proj_bias = normal({3 * w}, 0.02);
    block.out_proj_weight = normal({w, w}, 0.009);
    block.out_proj_bias = normal({w}, 0.02);
    block.ln_2_weight = normal({w}, 0.1).add_(1);
    block.ln_2_bias = normal({w}, 0.1);
    block.c_fc_weight = normal({4 * w, w}, 0.031);
    block.c_fc_bias = normal({4 * w}, 0.02);
    block.c_proj_weight = normal({w, 4 * w}, 0.009);
    block.c_proj_bias = normal({w}, 0.02);
    tower.blocks.push_back(block);
  }
  tower.ln_final_weight = normal({w}, 0.1).add_(1);
  tower.ln_final_bias = normal({w}, 0.1);
  tower.text_projection = normal({w, tower.embed_dim}, 0.044);
  return tower;
}

// SOT, M placeholders, a name of 2 or 3 tokens, the dot, EOT.
std::vector<TokenRow> Rows(int classes) {
  std::vector<TokenRow> rows;
  for (int c = 0; c < classes; ++c) {
    TokenRow row = {1022};
    row.insert(row.end(), kContextTokens, 343);
    for (int token = 0; token < 2 + c % 2; ++token) {
      row.push_back((31 * c + token) % 300);
    }
    row.push_back(269);
    row.push_back(1023);
    rows.push_back(row);
  }
  return rows;
}

// Everything a step needs, for both paths.
struct Job {
  explicit Job(int classes)
      : rows(Rows(classes)),
        context(at::randn({kContextTokens, kWidth}).mul_(0.02)),
        d_features(at::randn({classes, 512})) {}

  std::vector<TokenRow> rows;
  at::Tensor context;
  at::Tensor d_features;
};

const TextWeights& Weights() {
  static const auto* const weights = new TextWeights(RandomWeights());
  return *weights;
}

const std::shared_ptr<const TextTower>& Tower() {
  static const auto* const tower = new std::shared_ptr<const TextTower>(
      std::make_shared<const TextTower>(Weights()));
  return *tower;
}

struct Seconds {
  double wall = 0;
  double processor = 0;  // of all threads
};

// Every step of each case, by name and class count.
std::map<std::pair<std::string, int>, std::vector<Seconds>>& Steps() {
  static auto* const steps =
      new std::map<std::pair<std::string, int>, std::vector<Seconds>>;
  return *steps;
}

double Median(const std::vector<Seconds>& steps, double Seconds::*part) {
  std::vector<double> values;
  for (const Seconds& step : steps) values.push_back(step.*part);
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Seconds Now() {
  timespec processor{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &processor);
  const std::chrono::duration<double> wall =
      std::chrono::steady_clock::now().time_since_epoch();
  return {wall.count(), processor.tv_sec + 1e-9 * processor.tv_nsec};
}

template <typename Step>
void Measure(benchmark::State& state, const std::string& name, Step step) {
  auto& steps = Steps()[{name, static_cast<int>(state.range(0))}];
  for (auto _ : state) {
    const Seconds start = Now();
    step();
    const Seconds end = Now();
    steps.push_back({end.wall - start.wall, end.processor - start.processor});
  }
  state.counters["median_ms"] = 1e3 * Median(steps, &Seconds::wall);
}

at::Tensor PlainStep(const Job& job, const at::Tensor& ids,
                     const at::Tensor& embedded) {
  const int64_t classes = ids.size(0);
  const at::Tensor context = job.context.detach().clone().requires_grad_(true);
  const at::Tensor prompts =
      at::cat({embedded.narrow(1, 0, 1),
               context.unsqueeze(0).expand({classes, kContextTokens, kWidth}),
               embedded.narrow(1, 1 + kContextTokens,
                               kContextLength - 1 - kContextTokens)},
              1);
  EncodeEmbedded(Weights(), prompts, ids.argmax(-1)).backward(job.d_features);
  return context.grad();
}

void BM_PlainStep(benchmark::State& state) {
  const Job job(static_cast<int>(state.range(0)));
  std::vector<int64_t> ids;
  for (const TokenRow& row : job.rows) {
    ids.insert(ids.end(), row.begin(), row.end());
    ids.resize(ids.size() + kContextLength - row.size());
  }
  const at::Tensor id_tensor = at::tensor(ids).view({-1, kContextLength});
  const at::Tensor embedded = EmbedTokens(Weights(), id_tensor);
  Measure(state, "plain", [&] {
    benchmark::DoNotOptimize(PlainStep(job, id_tensor, embedded));
  });
}

void BM_PackedStep(benchmark::State& state) {
  const Job job(static_cast<int>(state.range(0)));
  std::vector<PromptText> texts;
  for (const TokenRow& row : job.rows) {
    texts.push_back(*ArrangePrompt(row, 0, {kContextTokens}));
  }
  const auto batch = PromptBatch::Create(Tower(), texts, kContextTokens, {});
  PROMPTD_CHECK(batch.ok());
  PromptState prompt;
  batch->Forward(job.context, &prompt);
  batch->Backward(job.d_features, &prompt);  // packs the transposes
  Measure(state, "packed", [&] {
    batch->Forward(job.context, &prompt);
    benchmark::DoNotOptimize(batch->Backward(job.d_features, &prompt));
  });
}

BENCHMARK(BM_PackedStep)
    ->Arg(10)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(30);
BENCHMARK(BM_PackedStep)
    ->Arg(100)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(10);
BENCHMARK(BM_PlainStep)
    ->Arg(10)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(5);
BENCHMARK(BM_PlainStep)
    ->Arg(100)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(1);

}  // namespace
}  // namespace promptd::clip

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  using promptd::clip::Median;
  using promptd::clip::Seconds;
  const auto& steps = promptd::clip::Steps();
  for (const int classes : {10, 100}) {
    const auto plain = steps.find({"plain", classes});
    const auto packed = steps.find({"packed", classes});
    if (plain == steps.end() || packed == steps.end()) continue;
    const double plain_wall = Median(plain->second, &Seconds::wall);
    const double packed_wall = Median(packed->second, &Seconds::wall);
    std::printf(
        "text side of a step, %d classes, %d threads: plain %.0f ms, packed "
        "%.1f ms, ratio %.1fx (processor time %.1fx)\n",
        classes, at::get_num_threads(), 1e3 * plain_wall, 1e3 * packed_wall,
        plain_wall / packed_wall,
        Median(plain->second, &Seconds::processor) /
            Median(packed->second, &Seconds::processor));
  }
  return 0;
}
