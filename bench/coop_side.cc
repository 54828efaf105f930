// promptd's side of bench/coop_recipe.py and bench/csc_memory.py: answers one
// request a line, so that the sides of a comparison can run in turns. Answers
// are two numbers, seconds and processor seconds of all threads, or one of
// bytes.
//
//   coop_side ENCODER_FOLDER float32|bfloat16
//
//   classes FILE    class names, one a line: makes a trainer of a unified
//                   context on random features
//   csc FILE        the same with a context for every class
//   step            one optimizer step of it
//   longest         time of the unit that took most processor time since the
//                   last such answer
//   images FILE     paths of images, one a line
//   prepare         decode, resize and normalise them all
//   encode          image features of them all in one batch
//   resident        memory of this process now, bytes
//   reset           forgets the peak
//   peak            the most memory since then, bytes
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clip/encoder.h"
#include "common/check.h"
#include "common/file.h"
#include "common/sha256.h"
#include "datasets/preprocess.h"
#include "datasets/random_view.h"
#include "learners/trainer.h"

namespace promptd {
namespace {

constexpr int kShots = 16;
constexpr int64_t kMaxImageBytes = 32 << 20;

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  }
  PROMPTD_CHECK(value.ok());
  return *std::move(value);
}

std::vector<std::string> Lines(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  PROMPTD_CHECK(!lines.empty());
  return lines;
}

struct Seconds {
  double wall = 0;
  double processor = 0;  // of all threads
};

Seconds SecondsOf(const std::function<void()>& work) {
  const std::clock_t processor = std::clock();
  const absl::Time start = absl::Now();
  work();
  return {absl::ToDoubleSeconds(absl::Now() - start),
          static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC};
}

class Side {
 public:
  explicit Side(std::shared_ptr<const clip::Encoder> encoder)
      : encoder_(std::move(encoder)) {}

  void UseClasses(const std::vector<std::string>& names, bool class_specific) {
    learners::TrainingData data;
    data.class_names = names;
    const int64_t images = kShots * static_cast<int64_t>(names.size());
    const int64_t width = encoder_->config().embed_dim;
    const at::Tensor features = at::randn({images, width});
    const float* begin = features.const_data_ptr<float>();
    data.features = {{images, width}, {begin, begin + features.numel()}};
    for (int64_t i = 0; i < images; ++i) {
      data.labels.push_back(static_cast<int>(i / kShots));
    }
    data.features_digest = "random";
    learners::TrainerSpec spec;
    spec.class_specific = class_specific;
    trainer_ = Must(learners::Trainer::Create(encoder_, spec, std::move(data)));
  }

  void Step() {
    const int64_t step = trainer_->progress().step;
    while (trainer_->progress().step == step) {
      const Seconds spent =
          SecondsOf([this] { PROMPTD_CHECK(trainer_->RunUnit().ok()); });
      if (spent.processor > longest_.processor) longest_ = spent;
    }
  }

  Seconds TakeLongest() { return std::exchange(longest_, {}); }

  void UseImages(const std::vector<std::string>& paths) {
    images_.clear();
    for (const std::string& path : paths) {
      images_.push_back(Must(ReadFile(path, kMaxImageBytes)));
    }
    const int64_t side = encoder_->config().vision.image_size;
    pixels_ = at::empty({static_cast<int64_t>(images_.size()), 3, side, side});
  }

  void Prepare() {
    const size_t count = static_cast<size_t>(at::get_num_threads());
    std::vector<std::thread> threads;
    for (size_t first = 0; first < count; ++first) {
      threads.emplace_back([this, first, count] {
        for (size_t i = first; i < images_.size(); i += count) PrepareOne(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void Encode() { Must(encoder_->EncodeImages(pixels_)); }

 private:
  void PrepareOne(size_t image) {
    const weights::VisionConfig& vision = encoder_->config().vision;
    datasets::PreprocessOptions options;
    options.size = vision.image_size;
    const std::vector<float> values = Must(datasets::PreprocessView(
        images_[image], Sha256Hex(images_[image]), ++view_, options));
    std::copy(values.begin(), values.end(),
              pixels_.mutable_data_ptr<float>() + image * values.size());
  }

  std::shared_ptr<const clip::Encoder> encoder_;
  std::unique_ptr<learners::Trainer> trainer_;
  Seconds longest_;                  // of a unit
  std::vector<std::string> images_;  // encoded
  at::Tensor pixels_;                // [B, 3, S, S]
  std::atomic<int> view_ = 0;        // drawn last, of whatever image
};

std::string ToText(const Seconds& seconds) {
  return absl::StrFormat("%.9f %.9f", seconds.wall, seconds.processor);
}

// A line of /proc/self/status, in bytes.
std::string StatusBytes(const std::string& name) {
  for (const std::string& line : Lines("/proc/self/status")) {
    if (line.rfind(name, 0) == 0) {
      return absl::StrCat(1024 * std::stoll(line.substr(6)));
    }
  }
  return "-1";
}

std::string Answer(const std::string& verb, Side* side) {
  std::string path;
  if (verb == "classes" || verb == "csc" || verb == "images") std::cin >> path;
  if (verb == "resident") return StatusBytes("VmRSS:");
  if (verb == "peak") return StatusBytes("VmHWM:");
  if (verb == "longest") return ToText(side->TakeLongest());
  return ToText(SecondsOf([&] {
    if (verb == "reset") {
      std::ofstream("/proc/self/clear_refs") << "5";
    } else if (verb == "classes" || verb == "csc") {
      side->UseClasses(Lines(path), verb == "csc");
    } else if (verb == "images") {
      side->UseImages(Lines(path));
    } else if (verb == "step") {
      side->Step();
    } else if (verb == "prepare") {
      side->Prepare();
    } else {
      PROMPTD_CHECK(verb == "encode");
      side->Encode();
    }
  }));
}

int Main(const std::string& folder, const std::string& precision) {
  const at::NoGradGuard no_grad;
  const Precision chosen = precision == PrecisionName(Precision::kBFloat16)
                               ? Precision::kBFloat16
                               : Precision::kFloat32;
  Side side(Must(clip::Encoder::Load(Must(weights::EncoderFolder::Open(folder)),
                                     {chosen})));
  for (std::string verb; std::cin >> verb;) {
    std::printf("%s\n", Answer(verb, &side).c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace promptd

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: coop_side ENCODER_FOLDER PRECISION\n");
    return 2;
  }
  return promptd::Main(argv[1], argv[2]);
}
