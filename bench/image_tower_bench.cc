// An encoder's image tower against what this processor can do: the same
// multiply-adds in one large packed matrix product, in the same run.
//
//   [PROMPTD_BENCH_ENCODER=FOLDER]       models/embedded
//   [PROMPTD_BENCH_PRECISION=bfloat16]   float32
//   image_tower_bench
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clip/encoder.h"
#include "clip/frozen_linear.h"
#include "clip/image_tower.h"

namespace promptd::clip {
namespace {

constexpr int64_t kGemmRows = 1600;
constexpr int64_t kGemmIn = 768;
constexpr int64_t kGemmOut = 3072;

Precision WantedPrecision() {
  const char* name = std::getenv("PROMPTD_BENCH_PRECISION");
  const bool bfloat16 =
      name != nullptr &&
      name == std::string(PrecisionName(Precision::kBFloat16));
  return bfloat16 ? Precision::kBFloat16 : Precision::kFloat32;
}

at::ScalarType WantedType() {
  return WantedPrecision() == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

FrozenLinear GemmLayer() {
  return FrozenLinear(at::randn({kGemmOut, kGemmIn}), at::randn({kGemmOut}),
                      LinearUse::kForwardOnly, WantedType());
}

std::shared_ptr<const Encoder> LoadEncoder() {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  const std::string root = source == nullptr ? PROMPTD_SOURCE_DIR : source;
  const char* given = std::getenv("PROMPTD_BENCH_ENCODER");
  const auto folder = weights::EncoderFolder::Open(
      given == nullptr ? root + "/models/embedded" : given);
  if (!folder.ok()) return nullptr;
  const auto encoder = Encoder::Load(*folder, {WantedPrecision()});
  return encoder.ok() ? *encoder : nullptr;
}

// Operations a second of the packed matrix product; the best of ten, because
// it stands for a limit.
double GemmLimit() {
  static const double limit = [] {
    const FrozenLinear layer = GemmLayer();
    const at::Tensor x = at::randn({kGemmRows, kGemmIn}).to(WantedType());
    double best = 0;
    for (int i = 0; i < 10; ++i) {
      const absl::Time begin = absl::Now();
      benchmark::DoNotOptimize(layer.Forward(x));
      const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
      best = std::max(best, 2.0 * kGemmRows * kGemmIn * kGemmOut / seconds);
    }
    return best;
  }();
  return limit;
}

void BM_PackedGemm(benchmark::State& state) {
  const at::NoGradGuard no_grad;
  const FrozenLinear layer = GemmLayer();
  const at::Tensor x = at::randn({kGemmRows, kGemmIn}).to(WantedType());
  for (auto _ : state) benchmark::DoNotOptimize(layer.Forward(x));
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * kGemmRows * kGemmIn * kGemmOut * state.iterations(),
      benchmark::Counter::kIsRate);
}
BENCHMARK(BM_PackedGemm)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_ImageTower(benchmark::State& state) {
  static const std::shared_ptr<const Encoder> encoder = LoadEncoder();
  if (encoder == nullptr) return state.SkipWithError("no encoder there");
  const at::NoGradGuard no_grad;
  const int64_t batch = state.range(0);
  const int64_t side = encoder->config().vision.image_size;
  const at::Tensor pixels = at::randn({batch, 3, side, side});
  const double operations =
      2.0 * encoder->image_tower().multiply_adds() * batch;
  const double limit = GemmLimit();
  for (auto _ : state) {
    benchmark::DoNotOptimize(encoder->EncodeImages(pixels).value());
  }
  const auto rate = benchmark::Counter::kIsRate;
  const double iterations = static_cast<double>(state.iterations());
  state.counters["images/s"] = benchmark::Counter(batch * iterations, rate);
  state.counters["GFLOP/s"] =
      benchmark::Counter(1e-9 * operations * iterations, rate);
  state.counters["of_gemm_limit"] =
      benchmark::Counter(operations * iterations / limit, rate);
}
BENCHMARK(BM_ImageTower)
    ->Arg(1)
    ->Arg(2)
    ->Arg(4)
    ->Arg(8)
    ->Arg(16)
    ->Arg(32)
    ->Arg(128)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace promptd::clip

BENCHMARK_MAIN();
