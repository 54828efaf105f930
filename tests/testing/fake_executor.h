// A worker that computes nothing heavy: real image headers, made-up scores.
// Calls can be held back to test deadlines, cancellation and drain.
// Thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "common/error.h"
#include "datasets/image_format.h"
#include "worker/executor.h"

namespace promptd::testing {

// Of the encoders below.
inline constexpr int kFakeTextWidth = 16;

class FakeExecutor : public worker::Executor {
 public:
  FakeExecutor() {
    for (const char* name : {"large", "small"}) {
      worker::EncoderDescription encoder;
      encoder.name = name;
      encoder.digest = std::string(64, name[0] == 'l' ? 'a' : 'b');
      encoder.embed_dim = 8;
      encoder.image_size = 32;
      encoder.context_length = 77;
      encoder.text_width = kFakeTextWidth;
      encoder.logit_scale = name[0] == 'l' ? 100.0f : 20.0f;
      encoder.parameters = 1000;
      encoder.demonstration = name[0] == 's';
      encoders_.push_back(encoder);
    }
  }

  std::vector<worker::EncoderDescription> Encoders() const override {
    return encoders_;
  }

  void Classify(worker::ClassifyCall call, ClassifyCallback done) override {
    {
      absl::MutexLock lock(&mutex_);
      last_call_ = call;
      last_pixels_.clear();
      for (const absl::Span<const float> pixels : call.pixels) {
        last_pixels_.emplace_back(pixels.begin(), pixels.end());
      }
      ++calls_;
      if (throw_) throw std::runtime_error("secret /path/of/the/server");
      if (hold_) {
        held_.push_back({std::move(call), std::move(done)});
        return;
      }
    }
    done(Answer(call));
  }

  // The large encoder is as it was; the small one's texts and files are not.
  void VerifyEncoder(worker::VerifyCall call, VerifyCallback done) override {
    const bool good = call.encoder_digest == encoders_[0].digest;
    worker::EncoderVerification verification;
    verification.checks = {
        {"image features", 2, 1e-6f, 1.0f, {1e-4f, 0.9999f}, true},
        {"text features", 4, 0.5f, 0.25f, {1e-4f, 0.9999f}, good}};
    verification.origin = "open_clip 3.3.0, float32";
    verification.digest_on_disk = good ? call.encoder_digest : "";
    verification.files_unchanged = good;
    verification.passed = good;
    done(verification);
  }

  // A text of more than 10 words is too long.
  void EmbedTexts(worker::EmbedTextsCall call,
                  EmbedTextsCallback done) override {
    std::vector<worker::TextOutcome> outcomes(call.texts.size());
    for (size_t i = 0; i < call.texts.size(); ++i) {
      if (Words(call.texts[i]) > 10 && !call.truncate) {
        outcomes[i].status = MakeError(absl::StatusCode::kInvalidArgument,
                                       "TEXT_TOO_LONG", "no");
      } else {
        outcomes[i].embedding = {{0.6f, 0.8f}, 5.0f};
      }
    }
    {
      absl::MutexLock lock(&mutex_);
      last_texts_ = std::move(call);
    }
    done(std::move(outcomes));
  }

  // Vector i has length i + 1 and lies on "token<i></w>", one further from each
  // next word.
  void Interpret(worker::InterpretCall call, InterpretCallback done) override {
    const int classes =
        call.classes == 0 ? 1 : static_cast<int>(call.class_indexes.size());
    std::vector<worker::VectorWords> vectors;
    for (int i = 0; i < classes * call.context_tokens; ++i) {
      worker::VectorWords& one = vectors.emplace_back();
      one.norm = i + 1;
      for (int word = 0; word < call.top_k; ++word) {
        one.words.push_back({"token" + std::to_string(i + word) + "</w>",
                             i + word, static_cast<double>(word)});
      }
    }
    {
      absl::MutexLock lock(&mutex_);
      last_interpret_ = std::move(call);
    }
    done(std::move(vectors));
  }

  // A class name takes one token a word; "." and the two ends one each.
  absl::StatusOr<worker::PromptCheck> CheckPrompt(
      const std::string& encoder_digest, int context_tokens,
      const std::string& context_init,
      const std::vector<std::string>& class_names) const override {
    if (std::none_of(encoders_.begin(), encoders_.end(), [&](const auto& e) {
          return e.digest == encoder_digest;
        })) {
      return MakeError(absl::StatusCode::kNotFound, "ENCODER_NOT_HELD", "no");
    }
    worker::PromptCheck check;
    check.init_tokens = Words(context_init);
    for (const std::string& name : class_names) {
      check.total_tokens.push_back(context_tokens + Words(name) + 3);
    }
    return check;
  }

  bool Ready() const override {
    absl::MutexLock lock(&mutex_);
    return ready_;
  }

  void SetReady(bool ready) {
    absl::MutexLock lock(&mutex_);
    ready_ = ready;
  }
  void ThrowFromNowOn() {
    absl::MutexLock lock(&mutex_);
    throw_ = true;
  }
  // Calls wait until ReleaseHeld, or until their client is gone and
  // AbandonCancelled runs.
  void HoldCalls() {
    absl::MutexLock lock(&mutex_);
    hold_ = true;
  }
  // Blocks until `count` calls are held.
  void AwaitHeld(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return held_.size() >= count;
    };
    mutex_.Await(absl::Condition(&enough));
  }
  size_t held() const {
    absl::MutexLock lock(&mutex_);
    return held_.size();
  }
  bool AnyHeldCancelled() const {
    absl::MutexLock lock(&mutex_);
    return std::any_of(held_.begin(), held_.end(),
                       [](const Held& held) { return held.call.cancelled(); });
  }
  void ReleaseHeld() {
    std::vector<Held> held;
    {
      absl::MutexLock lock(&mutex_);
      hold_ = false;
      held.swap(held_);
    }
    for (Held& one : held) one.done(Answer(one.call));
  }
  // Classify calls so far.
  int calls() const {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }
  // The head at this place in a call answers nothing from now on.
  void FailHead(size_t place, const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    failing_head_ = {place, status};
  }
  // The only one that is cached.
  void KnowDigest(const std::string& digest) {
    absl::MutexLock lock(&mutex_);
    known_digest_ = digest;
  }
  // Its images and pixels are gone.
  worker::ClassifyCall last_call() const {
    absl::MutexLock lock(&mutex_);
    return last_call_;
  }
  // Of that call.
  std::vector<std::vector<float>> last_pixels() const {
    absl::MutexLock lock(&mutex_);
    return last_pixels_;
  }
  worker::EmbedTextsCall last_texts() const {
    absl::MutexLock lock(&mutex_);
    return last_texts_;
  }
  worker::InterpretCall last_interpret() const {
    absl::MutexLock lock(&mutex_);
    return last_interpret_;
  }

 private:
  struct Held {
    worker::ClassifyCall call;
    ClassifyCallback done;
  };

  static int Words(const std::string& text) {
    const std::vector<std::string> words =
        absl::StrSplit(text, ' ', absl::SkipEmpty());
    return static_cast<int>(words.size());
  }

  absl::StatusOr<worker::ClassifyOutcome> Answer(
      const worker::ClassifyCall& call) {
    if (call.cancelled && call.cancelled()) {
      return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "gone");
    }
    worker::ClassifyOutcome outcome;
    outcome.timings.encode = absl::Milliseconds(3);
    outcome.total = absl::Milliseconds(9);
    absl::MutexLock lock(&mutex_);
    for (size_t image = 0; image < worker::ImageCount(call); ++image) {
      worker::ImageOutcome& one = outcome.images.emplace_back();
      if (worker::IsByDigest(call, image)) {
        one.status =
            known_digest_ == call.image_digests[image - call.images.size()]
                ? absl::OkStatus()
                : MakeError(absl::StatusCode::kNotFound, "IMAGE_NOT_CACHED",
                            "no");
      } else if (call.pixels.empty()) {
        one.status = datasets::ReadImageHeader(call.images[image]).status();
      }
      if (!one.status.ok()) continue;
      if (call.embed) {
        one.embedding = {{0.6f, 0.8f}, 5.0f};
        continue;
      }
      one.cache = worker::CacheUse::kMiss;
      one.batch_size = 7;
      for (const worker::HeadQuery& head : call.heads) {
        std::vector<worker::Scored>& scores = one.scores.emplace_back();
        for (int i = 0; i < head.top_k; ++i) {
          scores.push_back({.class_index = i,
                            .probability = 1.0f / static_cast<float>(2 + i),
                            .similarity = 0.25f});
        }
      }
    }
    // As the classifier: the only head's error is the call's.
    if (call.heads.size() == 1 && failing_head_.first == 0) {
      return failing_head_.second;
    }
    outcome.heads.resize(call.heads.size());
    if (failing_head_.first < outcome.heads.size()) {
      outcome.heads[failing_head_.first] = failing_head_.second;
    }
    return outcome;
  }

  std::vector<worker::EncoderDescription> encoders_;
  mutable absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = true;
  bool throw_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Held> held_ ABSL_GUARDED_BY(mutex_);
  worker::EmbedTextsCall last_texts_ ABSL_GUARDED_BY(mutex_);
  worker::InterpretCall last_interpret_ ABSL_GUARDED_BY(mutex_);
  worker::ClassifyCall last_call_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::vector<float>> last_pixels_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string known_digest_ ABSL_GUARDED_BY(mutex_);
  std::pair<size_t, absl::Status> failing_head_ ABSL_GUARDED_BY(mutex_) = {
      SIZE_MAX, absl::OkStatus()};
};

}  // namespace promptd::testing
