#include "worker/local_worker.h"

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "worker/batch_times.h"
#include "worker/classifier.h"
#include "worker/context_interpreter.h"
#include "worker/device_loop.h"
#include "worker/encoder_set.h"
#include "worker/encoder_verifier.h"
#include "worker/job_runner.h"
#include "worker/prompt_check.h"
#include "worker/prompt_features.h"
#include "worker/runtime.h"
#include "worker/text_embedder.h"
#include "worker/tuned_encoders.h"

namespace promptd::worker {
namespace {

constexpr int kMaxDefaultDecodeThreads = 4;
// Of an encoder, before the worker is ready.
constexpr absl::Duration kWarmUp = absl::Milliseconds(250);

absl::Status NotReady() {
  return MakeError(absl::StatusCode::kUnavailable, "NOT_READY",
                   "the worker is starting: try again in a moment");
}

class LocalWorkerImpl : public LocalWorker {
 public:
  LocalWorkerImpl(const LocalWorkerOptions& options, Observer* observer)
      : options_(WithDefaults(options)), observer_(observer) {}

  ~LocalWorkerImpl() override { Stop(absl::InfinitePast()); }

  // Loads and tests the encoders on the device thread.
  absl::Status LoadEncoders() {
    return loop_.RunServing([this]() -> absl::Status {
      ASSIGN_OR_RETURN(encoders_,
                       EncoderSet::Load(options_.encoder_dirs,
                                        {options_.precision, options_.device}));
      RETURN_IF_ERROR(encoders_.PassSelfTests());
      return WarmUp();
    });
  }

  void Start(Control* control) override {
    absl::MutexLock lock(&mutex_);
    ClassifierOptions classifier;
    classifier.decode_threads = options_.decode_threads;
    classifier.max_queued_images = options_.max_queued_images;
    classifier.max_queued_bytes = options_.max_queued_bytes;
    classifier.max_queued_images_of_tenant =
        options_.max_queued_images_of_tenant;
    classifier.max_batch = options_.max_batch;
    if (options_.device == "cpu") classifier.lanes = at::get_num_threads();
    classifier.max_batch_time = options_.max_batch_time;
    classifier.max_feature_cache_bytes = options_.max_feature_cache_bytes;
    classifier.max_embedding_cache_bytes = options_.max_embedding_cache_bytes;
    const auto read_blob = [control](const std::string& digest) {
      return control->GetBlob(digest);
    };
    tuned_encoders_ = std::make_unique<TunedEncoders>(
        options_.max_image_tower_bytes, &encoders_, &loop_, read_blob);
    classifier_ =
        std::make_unique<Classifier>(classifier, tuned_encoders_.get(), &times_,
                                     &loop_, observer_, read_blob);
    TextEmbedderOptions texts;
    texts.max_queued_texts = options_.max_queued_texts;
    texts_ = std::make_unique<TextEmbedder>(texts, &encoders_, &loop_);
    interpreter_ = std::make_unique<ContextInterpreter>(
        ContextInterpreterOptions(), &encoders_, &loop_, read_blob);
    JobRunnerOptions runner;
    runner.worker_id = options_.id;
    runner.decode_threads = options_.decode_threads;
    runner.checkpoint_interval = options_.checkpoint_interval;
    runner.heartbeat_interval = options_.heartbeat_interval;
    runner_ = std::make_unique<JobRunner>(
        runner, &encoders_, tuned_encoders_.get(), &loop_, observer_, control);
    ready_ = true;
    for (const std::string& digest : encoders_.unverified()) {
      VerifyCall call;
      call.encoder_digest = digest;
      verifier_.Verify(call, [this, digest](const auto& verification) {
        if (verification.ok() && !verification->passed) ServeNoMore(digest);
      });
    }
  }

  void Stop(absl::Time deadline) override {
    std::shared_ptr<JobRunner> runner;
    std::shared_ptr<Classifier> classifier;
    std::shared_ptr<TextEmbedder> texts;
    std::shared_ptr<ContextInterpreter> interpreter;
    {
      absl::MutexLock lock(&mutex_);
      ready_ = false;
      runner = runner_;
      classifier = classifier_;
      texts = texts_;
      interpreter = interpreter_;
    }
    verifier_.Stop();
    if (runner != nullptr) runner->Stop();
    if (classifier != nullptr) classifier->Stop(deadline);
    if (texts != nullptr) texts->Stop(deadline);
    if (interpreter != nullptr) interpreter->Stop(deadline);
    loop_.Stop();
  }

  std::vector<EncoderDescription> Encoders() const override {
    return encoders_.descriptions();
  }

  bool Holds(const std::string& encoder_digest) const override {
    return encoders_.Find(encoder_digest).ok();
  }

  bool HeadAtHand(const std::string& features_digest) const override {
    const std::shared_ptr<Classifier> classifier =
        Current(&LocalWorkerImpl::classifier_);
    return classifier != nullptr && classifier->HeadAtHand(features_digest);
  }

  void Classify(ClassifyCall call, ClassifyCallback done) override {
    const std::shared_ptr<Classifier> classifier =
        Current(&LocalWorkerImpl::classifier_);
    if (classifier == nullptr) return done(NotReady());
    classifier->Classify(std::move(call), std::move(done));
  }

  void VerifyEncoder(VerifyCall call, VerifyCallback done) override {
    verifier_.Verify(call, done);
  }

  void EmbedTexts(EmbedTextsCall call, EmbedTextsCallback done) override {
    const std::shared_ptr<TextEmbedder> texts =
        Current(&LocalWorkerImpl::texts_);
    if (texts == nullptr) return done(NotReady());
    texts->EmbedTexts(std::move(call), std::move(done));
  }

  void Interpret(InterpretCall call, InterpretCallback done) override {
    const std::shared_ptr<ContextInterpreter> interpreter =
        Current(&LocalWorkerImpl::interpreter_);
    if (interpreter == nullptr) return done(NotReady());
    interpreter->Interpret(std::move(call), std::move(done));
  }

  absl::StatusOr<PromptCheck> CheckPrompt(
      const std::string& encoder_digest, int context_tokens,
      const std::string& context_init,
      const std::vector<std::string>& class_names) const override {
    ASSIGN_OR_RETURN(const auto encoder, encoders_.Find(encoder_digest));
    return CountPromptTokens(*encoder, context_tokens, context_init,
                             class_names);
  }

  bool Ready() const override {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }

 private:
  // A part of this worker as it is now: null before Start().
  template <typename Part>
  std::shared_ptr<Part> Current(
      std::shared_ptr<Part> LocalWorkerImpl::*part) const {
    absl::MutexLock lock(&mutex_);
    return this->*part;
  }

  // Runs and times batches of growing size on every encoder, as many as a start
  // has time for; larger ones are taken to be in proportion until they come.
  absl::Status WarmUp() {
    for (const std::string& digest : encoders_.digests()) {
      ASSIGN_OR_RETURN(const auto encoder, encoders_.Find(digest));
      const int64_t side = encoder->config().vision.image_size;
      const std::vector<float> image(static_cast<size_t>(3 * side * side), 0);
      const absl::Time end =
          absl::Now() + std::min(kWarmUp, options_.max_batch_time);
      for (int size = 1; size <= options_.max_batch; size *= 2) {
        const std::vector<absl::Span<const float>> batch(
            static_cast<size_t>(size), image);
        const absl::Time start = absl::Now();
        RETURN_IF_ERROR(EncodeImageBatch(*encoder, batch, size).status());
        const absl::Time now = absl::Now();
        times_.Measured(digest, size, now - start);
        if (now + 2 * (now - start) > end) break;
      }
    }
    return absl::OkStatus();
  }

  static LocalWorkerOptions WithDefaults(LocalWorkerOptions options) {
    if (options.decode_threads <= 0) {
      options.decode_threads =
          std::min(UsableCores(), kMaxDefaultDecodeThreads);
    }
    return options;
  }

  // An encoder's files are not those of the digest it was started under, or it
  // computes other vectors.
  void ServeNoMore(const std::string& digest) {
    spdlog::critical(
        "the files of encoder {} have changed without a trace, or its "
        "self-test fails: not ready any more; look with `promptctl encoder "
        "verify` and import it again",
        (*encoders_.Find(digest))->name());
    encoders_.Distrust(digest);
    absl::MutexLock lock(&mutex_);
    ready_ = false;
  }

  const LocalWorkerOptions options_;
  Observer* const observer_;
  EncoderSet encoders_;  // constant after LoadEncoders()
  BatchTimes times_;
  DeviceLoop loop_;
  EncoderVerifier verifier_{&encoders_, &loop_};

  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  // Outlives those that use it.
  std::unique_ptr<TunedEncoders> tuned_encoders_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Classifier> classifier_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<TextEmbedder> texts_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<ContextInterpreter> interpreter_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<JobRunner> runner_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalWorker>> LocalWorker::Create(
    const LocalWorkerOptions& options, Observer* observer) {
  auto worker = std::make_unique<LocalWorkerImpl>(options, observer);
  RETURN_IF_ERROR(worker->LoadEncoders());
  return worker;
}

}  // namespace promptd::worker
