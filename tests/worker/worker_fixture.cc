#include "tests/worker/worker_fixture.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/file.h"
#include "datasets/manifest.h"

namespace promptd::worker {
namespace {

constexpr const char* kImages[] = {
    "jpeg_420.jpeg",         "jpeg_444.jpeg",        "jpeg_low_quality.jpeg",
    "jpeg_progressive.jpeg", "jpeg_restarts.jpeg",   "jpeg_422.jpeg",
    "png_120x90_to_48.png",  "png_101x67_to_33.png", "png_48x64_to_64.png",
    "png_37x53_to_32.png",   "png_53x37_to_32.png",  "png_31x31_to_32.png"};

}  // namespace

std::string WorkerFixture::SourceDir() {
  const char* dir = std::getenv("PROMPTD_SOURCE_DIR");
  return dir == nullptr ? "." : dir;
}

std::string WorkerFixture::Image(const std::string& name) {
  const auto bytes =
      ReadFile(SourceDir() + "/tests/golden/datasets/images/" + name, 1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

absl::string_view WorkerFixture::Keep(const std::string& bytes) {
  kept_.push_back(bytes);
  return kept_.back();
}

std::unique_ptr<LocalWorker> WorkerFixture::StartWorker(
    LocalWorkerOptions options) {
  options.encoder_dirs = {SourceDir() + "/models/embedded"};
  options.decode_threads = 2;
  auto worker = LocalWorker::Create(options, &observer_);
  EXPECT_TRUE(worker.ok()) << worker.status();
  if (!worker.ok()) return nullptr;
  (*worker)->Start(&control_);
  return *std::move(worker);
}

absl::StatusOr<ClassifyOutcome> WorkerFixture::Classify(LocalWorker* worker,
                                                        ClassifyCall call) {
  absl::Notification answered;
  absl::StatusOr<ClassifyOutcome> result = absl::UnknownError("unanswered");
  worker->Classify(std::move(call),
                   [&](absl::StatusOr<ClassifyOutcome> outcome) {
                     result = std::move(outcome);
                     answered.Notify();
                   });
  answered.WaitForNotification();
  return result;
}

ClassifyCall WorkerFixture::ZeroShotCall(
    const LocalWorker& worker, const std::vector<std::string>& images) {
  ClassifyCall call;
  call.encoder_digest = worker.Encoders()[0].digest;
  call.heads.push_back(
      {.text = {.texts = {"a photo of a dog.", "a photo of a car.",
                          "a photo of an apple."}},
       .top_k = 3});
  for (const std::string& image : images) call.images.push_back(Keep(image));
  return call;
}

TrainingSpec WorkerFixture::AddDataset(const LocalWorker& worker) {
  datasets::Manifest manifest;
  manifest.name = "shapes";
  manifest.class_names = {"photo", "drawing"};
  for (size_t i = 0; i < std::size(kImages); ++i) {
    datasets::Item item;
    item.path = kImages[i];
    item.digest = *control_.PutBlob(Image(kImages[i]));
    item.class_index = i < 6 ? 0 : 1;
    item.split = i % 6 < 4 ? datasets::Split::kTrain : datasets::Split::kTest;
    manifest.items.push_back(item);
  }
  TrainingSpec spec;
  spec.task = "shapes";
  spec.dataset = manifest.name;
  spec.dataset_digest = datasets::ManifestDigest(manifest);
  spec.encoder = worker.Encoders()[0].name;
  spec.encoder_digest = worker.Encoders()[0].digest;
  spec.shots = 4;
  spec.context_tokens = 3;
  spec.epochs = 12;
  spec.batch_size = 4;
  spec.learning_rate = 0.01;
  spec.templates = {"a photo of a {}.", "{}"};
  control_.AddManifest(spec.dataset_digest, manifest);
  return spec;
}

}  // namespace promptd::worker
