// What no server of this encoder can exceed here: its image tower in a loop on
// pixels that lie ready, with no request around it. With JPEG files also: the
// decoding that promptd does, alone, and in turns with the tower. One JSON
// object on standard output: images a second, and images a second of processor
// time.
//
//   raw_encoder ENCODER_FOLDER [--precision bfloat16] [--batch 16]...
//               [--seconds 3] [--threads 0] [JPEG...]
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clip/encoder.h"
#include "common/check.h"
#include "common/file.h"
#include "common/precision.h"
#include "datasets/preprocess.h"
#include "worker/parallel.h"
#include "worker/prompt_features.h"
#include "worker/runtime.h"

namespace promptd {
namespace {

constexpr int64_t kMaxImageBytes = 32 << 20;

struct Options {
  std::string folder;
  std::string precision = PrecisionName(Precision::kFloat32);
  std::vector<int> batches;
  double seconds = 3;
  int threads = 0;
  std::vector<std::string> images;
};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::cerr << "raw_encoder: " << value.status().message() << "\n";
  std::exit(1);
}

// Images a second of a step that treats `images` of them: of wall time, and of
// this process's processor time.
nlohmann::ordered_json Rate(double seconds, int images,
                            const std::function<void()>& step) {
  step();
  const absl::Time start = absl::Now();
  const std::clock_t processor = std::clock();
  int steps = 0;
  absl::Duration elapsed;
  do {
    step();
    ++steps;
    elapsed = absl::Now() - start;
  } while (elapsed < absl::Seconds(seconds));
  const double used =
      static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC;
  return {{"wall", steps * images / absl::ToDoubleSeconds(elapsed)},
          {"processor", steps * images / used}};
}

// Images in turn, decoded by all threads, a batch at a time.
class Decoder {
 public:
  Decoder(const std::vector<std::string>& paths, const clip::Encoder& encoder,
          int threads)
      : options_(worker::PreprocessOptionsOf(encoder)), threads_(threads) {
    for (const std::string& path : paths) {
      files_.push_back(Must(ReadFile(path, kMaxImageBytes)));
    }
  }

  std::vector<std::vector<float>> Batch(int size) {
    std::vector<std::vector<float>> pixels(static_cast<size_t>(size));
    worker::ParallelFor(pixels.size(), threads_, [&](size_t i) {
      pixels[i] = Must(datasets::PreprocessImage(
          files_[(next_ + i) % files_.size()], options_));
    });
    next_ += pixels.size();
    return pixels;
  }

 private:
  const datasets::PreprocessOptions options_;
  const int threads_;
  std::vector<std::string> files_;
  size_t next_ = 0;
};

nlohmann::ordered_json Measure(const Options& options, int threads) {
  const auto folder = Must(weights::EncoderFolder::Open(options.folder));
  const Precision precision =
      options.precision == PrecisionName(Precision::kBFloat16)
          ? Precision::kBFloat16
          : Precision::kFloat32;
  const auto encoder = Must(clip::Encoder::Load(folder, {precision}));
  const int64_t side = encoder->config().vision.image_size;
  const at::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  if (!options.images.empty()) {
    decoder = std::make_unique<Decoder>(options.images, *encoder, threads);
  }
  nlohmann::ordered_json rates = nlohmann::ordered_json::array();
  for (const int batch : options.batches) {
    const at::Tensor pixels = at::randn({batch, 3, side, side});
    nlohmann::ordered_json row;
    row["batch"] = batch;
    row["pixels"] = Rate(options.seconds, batch,
                         [&] { Must(encoder->EncodeImages(pixels)); });
    if (decoder != nullptr) {
      row["decode"] =
          Rate(options.seconds, batch, [&] { decoder->Batch(batch); });
      row["jpeg"] = Rate(options.seconds, batch, [&] {
        const auto decoded = decoder->Batch(batch);
        Must(worker::EncodeImageBatch(*encoder,
                                      {decoded.begin(), decoded.end()}, batch));
      });
    }
    rates.push_back(std::move(row));
  }
  return {{"precision", options.precision},
          {"threads", threads},
          {"images_per_second", std::move(rates)}};
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "The image tower in a loop, without a server: the limit of one. JSON of "
      "images a second, of wall and of processor time: pixels that lie ready; "
      "JPEG decoding alone; both in turns.",
      "raw_encoder");
  app.add_option("encoder", options.folder, "Folder of the encoder")
      ->required();
  app.add_option("images", options.images, "JPEG files, used in turn");
  app.add_option("--precision", options.precision)
      ->check(CLI::IsMember({PrecisionName(Precision::kFloat32),
                             PrecisionName(Precision::kBFloat16)}))
      ->capture_default_str();
  app.add_option("--batch", options.batches, "Batch size; repeat for several")
      ->expected(1)
      ->take_all()
      ->check(CLI::Range(1, 1024))
      ->default_str("1 2 4 8 16 32");
  app.add_option("--seconds", options.seconds, "Time of each figure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", options.threads, "0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (options.batches.empty()) options.batches = {1, 2, 4, 8, 16, 32};
  const int threads = worker::ConfigureCompute({options.threads});
  std::cout << Measure(options, threads).dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace promptd

int main(int argc, char** argv) { return promptd::Main(argc, argv); }
