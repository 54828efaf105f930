#include "tests/learners/tiny_job.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/check.h"
#include "nlohmann/json.hpp"
#include "tests/clip/fake_device.h"
#include "weights/encoder_folder.h"

namespace promptd::learners {
namespace {

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok())
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  PROMPTD_CHECK(value.ok());
  return *std::move(value);
}

std::shared_ptr<const clip::Encoder> LoadTiny(
    const clip::EncoderOptions& options) {
  at::set_num_threads(1);
  return Must(clip::Encoder::Load(TinyFolder(), options));
}

}  // namespace

std::string LearnersGoldenDir() {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  return std::string(source == nullptr ? "." : source) +
         "/tests/golden/learners";
}

const weights::EncoderFolder& TinyFolder() {
  static const auto* const folder = new weights::EncoderFolder(
      Must(weights::EncoderFolder::Open(LearnersGoldenDir() + "/tiny")));
  return *folder;
}

std::shared_ptr<const clip::Encoder> TinyEncoder() {
  static const auto* const encoder =
      new std::shared_ptr<const clip::Encoder>(LoadTiny({}));
  return *encoder;
}

std::shared_ptr<const clip::Encoder> TinyEncoderInBFloat16() {
  return LoadTiny({Precision::kBFloat16});
}

std::shared_ptr<const clip::Encoder> TinyEncoderOnFakeDevice() {
  clip::FakeDevice();
  return LoadTiny({Precision::kFloat32, clip::kFakeDevice});
}

weights::Safetensors CoOpGoldens() {
  return Must(weights::Safetensors::FromFile(LearnersGoldenDir() +
                                             "/coop.safetensors"));
}

TrainerSpec GoldenSpec() {
  const weights::Safetensors goldens = CoOpGoldens();
  const auto json = nlohmann::json::parse(goldens.metadata().at("spec"));
  TrainerSpec spec;
  spec.context_tokens = json.at("context_tokens");
  spec.epochs = json.at("epochs");
  spec.batch_size = json.at("batch_size");
  spec.learning_rate = json.at("learning_rate");
  spec.momentum = json.at("momentum");
  spec.weight_decay = json.at("weight_decay");
  spec.warmup_epochs = json.at("warmup_epochs");
  spec.warmup_learning_rate = json.at("warmup_learning_rate");
  spec.seed = json.at("seed");
  return spec;
}

TrainingData GoldenData(const weights::Safetensors& goldens) {
  TrainingData data;
  data.class_names = nlohmann::json::parse(goldens.metadata().at("classes"))
                         .get<std::vector<std::string>>();
  data.features = Must(goldens.Floats("images"));
  const FloatTensor labels = Must(goldens.Floats("labels"));
  data.labels.assign(labels.values.begin(), labels.values.end());
  data.features_digest = "golden";
  return data;
}

void RunToEnd(Trainer* trainer) {
  while (!trainer->done()) PROMPTD_CHECK(trainer->RunUnit().ok());
}

FloatTensor TinyPixels(const PixelRequest& wanted) {
  const int64_t side = TinyEncoder()->config().vision.image_size;
  FloatTensor pixels;
  pixels.shape = {static_cast<int64_t>(wanted.rows.size()), 3, side, side};
  for (const int64_t row : wanted.rows) {
    for (int64_t i = 0; i < 3 * side * side; ++i) {
      pixels.values.push_back(static_cast<float>(std::sin(
          0.37 * static_cast<double>(i) + 1.7 * static_cast<double>(row))));
    }
  }
  return pixels;
}

void RunStep(Learner* learner) {
  const int64_t before = learner->progress().step;
  while (!learner->done() && learner->progress().step == before) {
    if (const auto wanted = learner->NeedsPixels()) {
      PROMPTD_CHECK(learner->SetPixels(TinyPixels(*wanted)).ok());
    }
    PROMPTD_CHECK(learner->RunUnit().ok());
  }
}

void RunLearner(Learner* learner) {
  while (!learner->done()) RunStep(learner);
}

double MaxDifference(const FloatTensor& a, const FloatTensor& b) {
  if (a.shape != b.shape) return std::numeric_limits<double>::infinity();
  double most = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    most = std::max(most, std::abs(double{a.values[i]} - b.values[i]));
  }
  return most;
}

}  // namespace promptd::learners
