// What a classification costs inside the worker when the image's feature is
// cached, with one version and with many at random, and what several heads add
// to one encode.
//
//   [PROMPTD_BENCH_CLASSES=N]   classes of a version, 100
//   classify_hits_bench
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "clip/encoder.h"
#include "common/file.h"
#include "worker/classifier.h"
#include "worker/head_blob.h"

namespace promptd::worker {
namespace {

int64_t Classes() {
  const char* text = std::getenv("PROMPTD_BENCH_CLASSES");
  return text == nullptr ? 100 : std::atoll(text);
}

// Version number N is the head named N.
std::string Name(int64_t version) { return absl::StrCat(version); }

class Bench {
 public:
  static Bench& Get() {
    static auto* const bench = new Bench;
    return *bench;
  }

  void Classify(const std::vector<int64_t>& versions, bool no_cache) {
    ClassifyCall call;
    call.tenant = "tenant";
    call.encoder_digest = encoders_.descriptions()[0].digest;
    call.images = {image_};
    call.no_cache = no_cache;
    for (const int64_t version : versions) {
      call.heads.push_back({{.features_digest = Name(version)}, 5});
    }
    absl::Notification answered;
    classifier_->Classify(std::move(call), [&](const auto& outcome) {
      if (!outcome.ok() || !outcome->images[0].status.ok()) std::abort();
      answered.Notify();
    });
    answered.WaitForNotification();
  }

 private:
  Bench()
      : encoders_(*EncoderSet::Load(
            {std::string(PROMPTD_SOURCE_DIR) + "/models/embedded"},
            clip::EncoderOptions())),
        image_(*ReadFile(std::string(PROMPTD_SOURCE_DIR) +
                             "/tests/golden/datasets/images/jpeg_420.jpeg",
                         1 << 20)),
        width_(encoders_.descriptions()[0].embed_dim) {
    classifier_ = std::make_unique<Classifier>(
        ClassifierOptions{.max_feature_cache_bytes = int64_t{4} << 30},
        &tuned_encoders_, &times_, &loop_, &observer_,
        [this](const std::string& name) { return Head(name); });
  }

  absl::StatusOr<std::string> Head(const std::string& name) const {
    std::mt19937 random(static_cast<unsigned>(std::stoul(name)));
    ClassHead head;
    head.weights = {{Classes(), width_}, {}};
    for (int64_t i = 0; i < Classes() * width_; ++i) {
      head.weights.values.push_back(static_cast<float>(random()) /
                                        static_cast<float>(random.max()) -
                                    0.5f);
    }
    return SerializeHead(head);
  }

  const EncoderSet encoders_;
  const std::string image_;
  const int64_t width_;
  Observer observer_;
  BatchTimes times_;
  DeviceLoop loop_;
  TunedEncoders tuned_encoders_{1, &encoders_, &loop_, nullptr};
  std::unique_ptr<Classifier> classifier_;
};

// One request after the other; the number of versions is the argument.
void Hits(benchmark::State& state) {
  const int64_t versions = state.range(0);
  for (int64_t i = 0; i < versions; ++i) Bench::Get().Classify({i}, false);
  std::mt19937_64 random(7);
  for (auto _ : state) {
    Bench::Get().Classify({static_cast<int64_t>(random() % versions)}, false);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Hits)->Arg(1)->Arg(10000)->Repetitions(3);

// Decoding, encoding and the argument's number of heads.
void Encodes(benchmark::State& state) {
  std::vector<int64_t> versions(static_cast<size_t>(state.range(0)));
  for (size_t i = 0; i < versions.size(); ++i) {
    versions[i] = static_cast<int64_t>(i);
  }
  Bench::Get().Classify(versions, true);
  for (auto _ : state) Bench::Get().Classify(versions, true);
}
BENCHMARK(Encodes)->Arg(1)->Arg(50)->Repetitions(3)->UseRealTime();

}  // namespace
}  // namespace promptd::worker

BENCHMARK_MAIN();
