#include "worker/classifier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "datasets/preprocess.h"
#include "worker/call_end.h"
#include "worker/head.h"
#include "worker/head_blob.h"
#include "worker/prompt_features.h"

namespace promptd::worker {

struct Classifier::Image {
  std::shared_ptr<ImageCall> call;
  size_t index = 0;
  std::vector<float> pixels;  // [3, S, S] once decoded
  absl::Time ready;           // when it began to wait for a batch
  std::shared_ptr<const clip::Encoder> encoder;  // that encodes it
};

Classifier::Classifier(const ClassifierOptions& options,
                       TunedEncoders* encoders, DeviceLoop* loop,
                       Observer* observer, BlobReader read_blob)
    : options_(options),
      encoders_(encoders),
      loop_(loop),
      observer_(observer),
      read_blob_(std::move(read_blob)),
      head_cache_(options.max_feature_cache_bytes),
      decode_queue_(static_cast<size_t>(options.max_queued_images)) {
  for (int i = 0; i < options_.decode_threads; ++i) {
    decoders_.emplace_back([this] { DecodeLoop(); });
  }
}

Classifier::~Classifier() { Stop(absl::InfinitePast()); }

void Classifier::Classify(ClassifyCall request,
                          Executor::ClassifyCallback done) {
  auto call = std::make_shared<ImageCall>();
  call->request = std::move(request);
  call->done = std::move(done);
  if (const absl::Status admitted = Admit(call); !admitted.ok()) {
    call->done(admitted);
    return;
  }
  for (size_t i = 0; i < ImageCount(call->request); ++i) {
    // Never full: the queue holds as many as admission lets in.
    decode_queue_.TryPush(Image{call, i, {}, {}, {}});
  }
}

absl::Status Classifier::Admit(const std::shared_ptr<ImageCall>& call) {
  const int images = static_cast<int>(ImageCount(call->request));
  if (images == 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_IMAGES",
                     "the call has no images: send at least one");
  }
  ASSIGN_OR_RETURN(call->encoder, encoders_->Find(call->request.encoder_digest,
                                                  /*image_tower=*/""));
  {
    absl::MutexLock lock(&call->mutex);
    call->outcome.images.resize(ImageCount(call->request));
    call->image_encoder = call->encoder;
  }
  call->remaining = images;
  absl::MutexLock lock(&mutex_);
  if (stopping_) return ShuttingDown();
  if (images_in_flight_ + images > options_.max_queued_images) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
        absl::StrCat("the classify queue holds ", images_in_flight_,
                     " images of at most ", options_.max_queued_images,
                     ": try again in a moment"));
  }
  images_in_flight_ += images;
  return absl::OkStatus();
}

void Classifier::DecodeLoop() {
  while (std::optional<Image> image = decode_queue_.Pop()) {
    Decode(*std::move(image));
  }
}

void Classifier::Decode(Image image) {
  ImageCall& call = *image.call;
  if (!StillWanted(&call)) return FinishImage(image, {});
  if (const absl::Status status = ResolveLearnedHead(&call); !status.ok()) {
    call.Fail(status);
    return FinishImage(image, {});
  }
  const absl::Time start = absl::Now();
  absl::StatusOr<std::vector<float>> pixels = PixelsOf(&call, image.index);
  const absl::Duration elapsed = absl::Now() - start;
  observer_->OnStage(Stage::kDecode, elapsed);
  call.RecordStage(&StageTimings::decode, elapsed);
  if (!pixels.ok()) return FinishImage(image, {pixels.status(), {}, {}});
  image.pixels = *std::move(pixels);
  PostBatch(std::move(image));
}

absl::StatusOr<std::vector<float>> Classifier::PixelsOf(ImageCall* call,
                                                        size_t index) {
  if (call->request.pixels.empty()) {
    return datasets::PreprocessImage(call->request.images[index],
                                     PreprocessOptionsOf(*call->encoder));
  }
  // Each image is decoded once, by one thread.
  std::vector<float> pixels = std::move(call->request.pixels[index]);
  const size_t side = call->encoder->config().vision.image_size;
  if (pixels.size() == 3 * side * side) return pixels;
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_IMAGE_SHAPE",
                   absl::StrCat("an image of this encoder has 3 x ", side,
                                " x ", side, " numbers, not ", pixels.size()));
}

void Classifier::PostBatch(Image image) {
  {
    absl::MutexLock lock(&image.call->mutex);
    image.encoder = image.call->image_encoder;
  }
  const std::string digest = image.encoder->digest();
  image.ready = absl::Now();
  {
    absl::MutexLock lock(&mutex_);
    std::deque<Image>& waiting = pending_[digest];
    waiting.push_back(std::move(image));
    // Whoever finds the queue empty posts the batch; it takes what gathers.
    if (waiting.size() > 1) return;
  }
  if (loop_->PostServing([this, digest] { RunBatch(digest); })) return;
  std::deque<Image> dropped;
  {
    absl::MutexLock lock(&mutex_);
    dropped.swap(pending_[digest]);
  }
  for (const Image& lost : dropped) {
    lost.call->Fail(ShuttingDown());
    FinishImage(lost, {});
  }
}

void Classifier::RunBatch(const std::string& encoder_digest) {
  std::vector<Image> batch;
  bool more = false;
  {
    absl::MutexLock lock(&mutex_);
    std::deque<Image>& waiting = pending_[encoder_digest];
    const size_t taken =
        std::min(waiting.size(), static_cast<size_t>(options_.max_batch));
    std::move(waiting.begin(), waiting.begin() + taken,
              std::back_inserter(batch));
    waiting.erase(waiting.begin(), waiting.begin() + taken);
    more = !waiting.empty();
  }
  if (more) {
    loop_->PostServing([this, encoder_digest] { RunBatch(encoder_digest); });
  }
  const absl::Time start = absl::Now();
  std::vector<Image> wanted;
  for (Image& image : batch) {
    const absl::Duration waited = start - image.ready;
    observer_->OnStage(Stage::kQueue, waited);
    absl::Status text;
    if (StillWanted(image.call.get())) {
      text = ResolveZeroShotHead(image.call.get());
    }
    if (!text.ok()) image.call->Fail(text);
    if (image.call->failed()) {
      FinishImage(image, {});
      continue;
    }
    image.call->RecordStage(&StageTimings::queue, waited);
    wanted.push_back(std::move(image));
  }
  if (wanted.empty()) return;
  const absl::Time encode_start = absl::Now();
  const clip::Encoder& encoder = *wanted.front().encoder;
  std::vector<absl::Span<const float>> pixels;
  pixels.reserve(wanted.size());
  for (const Image& image : wanted) pixels.push_back(image.pixels);
  const absl::StatusOr<std::vector<float>> features =
      EncodeImageBatch(encoder, pixels, static_cast<int>(pixels.size()));
  observer_->OnBatch(static_cast<int>(wanted.size()));
  RunHead(&wanted, features, absl::Now() - encode_start);
}

void Classifier::RunHead(std::vector<Image>* images,
                         const absl::StatusOr<std::vector<float>>& features,
                         absl::Duration encode_time) {
  for (size_t i = 0; i < images->size(); ++i) {
    const Image& image = (*images)[i];
    ImageCall& call = *image.call;
    observer_->OnStage(Stage::kEncode, encode_time);
    if (!features.ok()) {
      call.Fail(features.status());
      FinishImage(image, {});
      continue;
    }
    if (!StillWanted(&call)) {
      FinishImage(image, {});
      continue;
    }
    call.RecordStage(&StageTimings::encode, encode_time);
    const absl::Time start = absl::Now();
    const size_t width = features->size() / images->size();
    ImageOutcome outcome = Conclude(
        &call, absl::MakeConstSpan(*features).subspan(i * width, width));
    const absl::Duration elapsed = absl::Now() - start;
    observer_->OnStage(Stage::kHead, elapsed);
    call.RecordStage(&StageTimings::head, elapsed);
    FinishImage(image, std::move(outcome));
  }
}

ImageOutcome Classifier::Conclude(ImageCall* call,
                                  absl::Span<const float> feature) {
  ImageOutcome outcome;
  if (call->request.embed) {
    outcome.embedding = NormalizedFeature(feature);
    return outcome;
  }
  SharedHead head;
  {
    absl::MutexLock lock(&call->mutex);
    head = call->head;
  }
  outcome.scores = RankClasses(feature, *head, call->encoder->logit_scale(),
                               call->request.top_k);
  return outcome;
}

absl::Status Classifier::ResolveLearnedHead(ImageCall* call) {
  const std::string& digest = call->request.text.features_digest;
  if (digest.empty() || call->request.embed) return absl::OkStatus();
  {
    absl::MutexLock lock(&call->mutex);
    if (call->head != nullptr) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(
      SharedHead head,
      head_cache_.FindOrLoad(digest, [&]() -> absl::StatusOr<ClassHead> {
        ASSIGN_OR_RETURN(const std::string bytes, read_blob_(digest));
        return ParseHead(bytes, call->encoder->config().embed_dim);
      }));
  ASSIGN_OR_RETURN(
      std::shared_ptr<const clip::Encoder> encoder,
      encoders_->Find(call->request.encoder_digest, head->image_tower));
  absl::MutexLock lock(&call->mutex);
  call->head = std::move(head);
  call->image_encoder = std::move(encoder);
  return absl::OkStatus();
}

absl::Status Classifier::ResolveZeroShotHead(ImageCall* call) {
  if (call->request.embed) return absl::OkStatus();
  {
    absl::MutexLock lock(&call->mutex);
    if (call->head != nullptr) return absl::OkStatus();
  }
  const std::vector<std::string>& texts = call->request.text.texts;
  const std::string key =
      Sha256Hex(absl::StrCat("zero-shot\n", call->encoder->digest(), "\n",
                             absl::StrJoin(texts, absl::string_view("\0", 1))));
  ASSIGN_OR_RETURN(
      SharedHead head,
      head_cache_.FindOrLoad(key, [&]() -> absl::StatusOr<ClassHead> {
        ClassHead zero_shot;
        ASSIGN_OR_RETURN(zero_shot.weights, EncodeTexts(*call->encoder, texts));
        return zero_shot;
      }));
  absl::MutexLock lock(&call->mutex);
  call->head = std::move(head);
  return absl::OkStatus();
}

bool Classifier::StillWanted(ImageCall* call) {
  if (call->failed()) return false;
  absl::Status status =
      CheckAwaited(call->request.deadline, call->request.cancelled);
  {
    absl::MutexLock lock(&mutex_);
    if (abandoned_) status = ShuttingDown();
  }
  if (!status.ok()) call->Fail(status);
  return status.ok();
}

void Classifier::FinishImage(const Image& image, ImageOutcome outcome) {
  observer_->OnImage(outcome.status.ok() && !image.call->failed());
  image.call->Finish(image.index, std::move(outcome));
  absl::MutexLock lock(&mutex_);
  --images_in_flight_;
}

void Classifier::Stop(absl::Time deadline) {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    mutex_.AwaitWithDeadline(absl::Condition(this, &Classifier::Idle),
                             deadline);
    abandoned_ = true;
    mutex_.Await(absl::Condition(this, &Classifier::Idle));
  }
  decode_queue_.Close();
  for (std::thread& decoder : decoders_) {
    if (decoder.joinable()) decoder.join();
  }
}

}  // namespace promptd::worker
