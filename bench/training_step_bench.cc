// The text side of a CoOp training step, forward and backward to the context:
// promptd's packed path against the plain 77-token path with autograd, in one
// process, on a text tower of CLIP's real size with random weights.
//
//   OMP_NUM_THREADS=2 training_step_bench [--benchmark_min_time=...]
//
// Ends with, for each class count: the ratio of the median wall times, and
// that of the processor times, which other load on the machine disturbs less;
// the share of the packed path in the rate of one large pre-packed product;
// and where its time goes, by operator. The share counts the multiply-adds of
// the linear layers for the rows that matter: those of the layout, the last
// layer's queries and MLP at EOT only, in the forward and for the gradient of
// the input. Attention, norms and activations are not counted, though they
// take time.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
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

#include "bench/op_times.h"
#include "clip/frozen_linear.h"
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

// The plain side computes in float32 alone.
const std::vector<std::pair<const char*, at::ScalarType>>& Types() {
  static const auto* const types =
      new std::vector<std::pair<const char*, at::ScalarType>>{
          {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}};
  return *types;
}

std::shared_ptr<const TextTower> Tower(at::ScalarType type) {
  static auto* const towers =
      new std::map<at::ScalarType, std::shared_ptr<const TextTower>>;
  auto& tower = (*towers)[type];
  if (tower == nullptr) tower = std::make_shared<TextTower>(Weights(), type);
  return tower;
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

template <typename Work>
Seconds TimeOf(const Work& work) {
  const Seconds start = Now();
  work();
  const Seconds end = Now();
  return {end.wall - start.wall, end.processor - start.processor};
}

template <typename Step>
void Measure(benchmark::State& state, const std::string& name, Step step) {
  auto& steps = Steps()[{name, static_cast<int>(state.range(0))}];
  for (auto _ : state) {
    steps.push_back(TimeOf(step));
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

PromptBatch Pack(const Job& job, at::ScalarType type) {
  std::vector<PromptText> texts;
  for (const TokenRow& row : job.rows) {
    texts.push_back(*ArrangePrompt(row, 0, {kContextTokens}));
  }
  auto batch = PromptBatch::Create(Tower(type), texts, kContextTokens, {});
  PROMPTD_CHECK(batch.ok());
  return *std::move(batch);
}

void BM_PackedStep(benchmark::State& state) {
  const Job job(static_cast<int>(state.range(0)));
  const auto& [name, type] = Types()[state.range(1)];
  const PromptBatch batch = Pack(job, type);
  PromptState prompt;
  const auto step = [&] {
    batch.Forward(job.context, &prompt);
    benchmark::DoNotOptimize(batch.Backward(job.d_features, &prompt));
  };
  step();  // packs the transposes
  Measure(state, name, step);
}

BENCHMARK(BM_PackedStep)
    ->ArgsProduct({{10}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(30);
BENCHMARK(BM_PackedStep)
    ->ArgsProduct({{100}, {0, 1}})
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

// Of one large packed product, a second: operations in wall and in processor
// time. Medians, as the steps' times are.
Seconds GemmRate(at::ScalarType type) {
  constexpr int64_t kRows = 1600, kIn = 768, kOut = 3072;
  const at::NoGradGuard no_grad;
  const FrozenLinear layer(at::randn({kOut, kIn}), at::randn({kOut}),
                           LinearUse::kForwardOnly, type);
  const at::Tensor x = at::randn({kRows, kIn}).to(type);
  layer.Forward(x);
  std::vector<Seconds> runs;
  for (int i = 0; i < 15; ++i) {
    runs.push_back(TimeOf([&] { layer.Forward(x); }));
  }
  constexpr double kOperations = 2.0 * kRows * kIn * kOut;
  return {kOperations / Median(runs, &Seconds::wall),
          kOperations / Median(runs, &Seconds::processor)};
}

// Of the linear layers, for the rows that matter, both directions.
double StepOperations(const PromptBatch& batch) {
  const double w = kWidth, rows = static_cast<double>(batch.rows());
  const double classes = static_cast<double>(batch.classes());
  const double prefix = 1 + kContextTokens;
  // In block 0 nothing learned is in the runs: their queries, keys and values
  // are constants.
  const double first = prefix * 3 * w * w + rows * 9 * w * w;
  const double between = (kLayers - 2) * rows * 12 * w * w;
  const double last = rows * 2 * w * w + classes * 10 * w * w;
  return 2 * 2 * (first + between + last + classes * w * Weights().embed_dim);
}

const char* KindOf(const std::string& op) {
  if (op.find("linear_pointwise") != std::string::npos) return "linear layers";
  if (op.find("layer_norm") != std::string::npos) return "norms";
  if (op.find("lu") != std::string::npos) return "activations";
  for (const char* part : {"bmm", "softmax", "triu", "full", "cat"}) {
    if (op.find(part) != std::string::npos) return "attention";
  }
  if (op.find("add") != std::string::npos) return "sums";
  return "copies and views";
}

// One profiled step: the parts, and what lies between operators.
void PrintProfile(const PromptBatch& batch, const Job& job) {
  constexpr int kSteps = 5;
  PromptState prompt;
  std::map<std::string, bench::OpTime> parts;
  double wall = 0, inside = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const bench::OpTimer timer;
    const Seconds start = Now();
    batch.Forward(job.context, &prompt);
    batch.Backward(job.d_features, &prompt);
    if (i == 0) continue;
    wall += Now().wall - start.wall;
    for (const auto& [op, time] : timer.Times()) {
      parts[KindOf(op)].seconds += time.seconds;
      parts[KindOf(op)].calls += time.calls;
      inside += time.seconds;
    }
  }
  for (const auto& [part, time] : parts) {
    std::printf("    %-17s %5.1f %%  %8.2f ms  %5d operators\n", part.c_str(),
                100 * time.seconds / wall, 1e3 * time.seconds / kSteps,
                static_cast<int>(time.calls / kSteps));
  }
  std::printf("    %-17s %5.1f %%\n", "between operators",
              100 * (wall - inside) / wall);
}

void PrintCase(int classes, const char* name, at::ScalarType type) {
  const auto packed = Steps().find({name, classes});
  if (packed == Steps().end()) return;
  const double wall = Median(packed->second, &Seconds::wall);
  const auto plain = Steps().find({"plain", classes});
  if (plain != Steps().end()) {
    const double plain_wall = Median(plain->second, &Seconds::wall);
    std::printf(
        "text side of a step, %d classes, %d threads: plain float32 %.0f ms, "
        "packed %s %.1f ms, ratio %.1fx (processor time %.1fx)\n",
        classes, at::get_num_threads(), 1e3 * plain_wall, name, 1e3 * wall,
        plain_wall / wall,
        Median(plain->second, &Seconds::processor) /
            Median(packed->second, &Seconds::processor));
  }
  const Job job(classes);
  const PromptBatch batch = Pack(job, type);
  const Seconds rate = GemmRate(type);
  const double operations = StepOperations(batch);
  std::printf(
      "  %s, %d rows: %.2f GFLOP that matter, %.0f GFLOP/s, share %.2f of a "
      "large packed product's %.0f GFLOP/s (processor time: share %.2f); an "
      "instrumented step:\n",
      name, static_cast<int>(batch.rows()), 1e-9 * operations,
      1e-9 * operations / wall, operations / wall / rate.wall, 1e-9 * rate.wall,
      operations / Median(packed->second, &Seconds::processor) /
          rate.processor);
  PrintProfile(batch, job);
}

}  // namespace

void PrintCases() {
  for (const int classes : {10, 100}) {
    for (const auto& [name, type] : Types()) PrintCase(classes, name, type);
  }
}

}  // namespace promptd::clip

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  promptd::clip::PrintCases();
  return 0;
}
