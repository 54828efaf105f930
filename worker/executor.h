// The door through which a front end asks a worker to compute: classify now,
// embed, describe what you hold. In-process or, later, over gRPC; no torch, no
// protobuf, no SQL here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/precision.h"
#include "weights/self_test.h"
#include "worker/classify_call.h"
#include "worker/interpretation.h"

namespace promptd::worker {

// A frozen encoder that a worker holds.
struct EncoderDescription {
  std::string name;
  std::string digest;
  int embed_dim = 0;       // E
  int image_size = 0;      // pixels
  int context_length = 0;  // tokens
  int text_width = 0;      // W
  float logit_scale = 0;   // exp of the parameter
  int64_t parameters = 0;
  bool demonstration = false;
  Precision precision = Precision::kFloat32;  // of its towers
  std::string device;  // that they lie on, "cpu" or "cuda:N"
};

struct VerifyCall {
  std::string encoder_digest;
  absl::Time deadline = absl::InfiniteFuture();
  // Polled between the steps and while files are read. May be empty.
  std::function<bool()> cancelled;
};

// Whether an encoder that is held still computes, and lies on disk, as it was
// loaded.
struct EncoderVerification {
  std::vector<weights::SelfTestCheck> checks;
  std::string origin;          // what computed the golden vectors
  std::string digest_on_disk;  // empty when the files cannot be read
  bool files_unchanged = false;
  bool passed = false;  // every check, and files_unchanged
};

struct EmbedTextsCall {
  std::string encoder_digest;
  std::vector<std::string> texts;
  // Cuts a text to the encoder's context length instead of refusing it.
  bool truncate = false;
  absl::Time deadline = absl::InfiniteFuture();
  // As in ClassifyCall.
  std::function<bool()> cancelled;
};

struct TextOutcome {
  // Why this text has no embedding: INVALID_ARGUMENT (TEXT_TOO_LONG,
  // BAD_UTF8, RESERVED_TEXT).
  absl::Status status;
  Embedding embedding;
};

// Facts checked at validation time, before a job or call is accepted.
struct PromptCheck {
  // Tokens of "<M placeholders> <name>." with SOT and EOT, one per class.
  std::vector<int> total_tokens;
  // Tokens of the initial words; 0 when there are none.
  int init_tokens = 0;
};

// Thread-safe. Callbacks run on a worker thread and must not block.
class Executor {
 public:
  using ClassifyCallback = std::function<void(absl::StatusOr<ClassifyOutcome>)>;
  using VerifyCallback =
      std::function<void(absl::StatusOr<EncoderVerification>)>;

  // Texts in call order.
  using EmbedTextsCallback =
      std::function<void(absl::StatusOr<std::vector<TextOutcome>>)>;

  // By class in call order, then by position.
  using InterpretCallback =
      std::function<void(absl::StatusOr<std::vector<VectorWords>>)>;

  virtual ~Executor() = default;

  // The encoders held, ordered by name.
  virtual std::vector<EncoderDescription> Encoders() const = 0;

  // Whether it can be asked for this encoder now. Cheaper than Encoders().
  virtual bool Holds(const std::string& encoder_digest) const {
    const std::vector<EncoderDescription> encoders = Encoders();
    return std::any_of(encoders.begin(), encoders.end(), [&](const auto& e) {
      return e.digest == encoder_digest;
    });
  }

  // Whether Classify() finds the head of this digest (ClassifyCall) in memory,
  // or has none to read: a call then waits for no disk, most likely.
  virtual bool HeadAtHand(const std::string& /*features_digest*/) const {
    return true;
  }

  // Answers through `done`, exactly once, possibly before returning; hashes
  // the images, and reads a head that is not in memory, on the calling thread.
  // UNAVAILABLE (QUEUE_FULL); DEADLINE_EXCEEDED (DEADLINE_EXPIRED);
  // CANCELLED; FAILED_PRECONDITION (ENCODER_NOT_HELD); DATA_LOSS
  // (BLOB_CORRUPT); UNAVAILABLE (SHUTTING_DOWN). A bad image is an
  // ImageOutcome, not an error.
  virtual void Classify(ClassifyCall call, ClassifyCallback done) = 0;

  // Runs the encoder's self-test and reads its files again; what fails is in
  // the answer. Answers through `done`, exactly once, possibly before
  // returning. FAILED_PRECONDITION (ENCODER_NOT_HELD); RESOURCE_EXHAUSTED
  // (QUEUE_FULL); DEADLINE_EXCEEDED (DEADLINE_EXPIRED); CANCELLED; UNAVAILABLE
  // (SHUTTING_DOWN).
  virtual void VerifyEncoder(VerifyCall call, VerifyCallback done) = 0;

  // Answers through `done`, exactly once, possibly before returning; tokenises
  // on the calling thread. Errors as Classify, NO_TEXTS for NO_IMAGES. A bad
  // text is a TextOutcome, not an error.
  virtual void EmbedTexts(EmbedTextsCall call, EmbedTextsCallback done) = 0;

  // Answers through `done`, exactly once, possibly before returning. Errors as
  // VerifyEncoder; DATA_LOSS (BLOB_CORRUPT), also for another shape than the
  // call says; NOT_FOUND (BLOB_NOT_FOUND).
  virtual void Interpret(InterpretCall call, InterpretCallback done) = 0;

  // Token counts of a prompt over class names. FAILED_PRECONDITION
  // (ENCODER_NOT_HELD).
  virtual absl::StatusOr<PromptCheck> CheckPrompt(
      const std::string& encoder_digest, int context_tokens,
      const std::string& context_init,
      const std::vector<std::string>& class_names) const = 0;

  // Whether classify calls can be served now.
  virtual bool Ready() const = 0;
};

}  // namespace promptd::worker
