// What a training job drives: a method at work on one list of classes, one
// bounded unit at a time.
//
//   ASSIGN_OR_RETURN(auto learner, MakeLearner(encoder, spec, data));
//   while (!learner->done()) {
//     if (const auto view = learner->NeedsView()) {
//       RETURN_IF_ERROR(learner->SetFeatures(*view, FeaturesOf(*view)));
//     }
//     if (const auto images = learner->NeedsPixels()) {
//       RETURN_IF_ERROR(learner->SetPixels(PixelsOf(*images)));
//     }
//     RETURN_IF_ERROR(learner->RunUnit());
//   }
//   for (int64_t i = 0; i < learner->head_units(); ++i) {
//     RETURN_IF_ERROR(learner->RunHeadUnit());
//   }
//   ASSIGN_OR_RETURN(const Learned learned, learner->Result());
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/class_head.h"
#include "common/float_tensor.h"
#include "common/training_options.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::weights {
struct EncoderFolder;
}

namespace promptd::learners {

struct TrainerSpec {
  std::string method = "coop";  // of common/method_traits.h
  int context_tokens = 16;      // M
  std::string context_init;     // words; empty: random
  ClassPosition class_position = ClassPosition::kEnd;
  bool class_specific = false;
  int epochs = 200;  // 0: done at once, nothing is learned
  int batch_size = 32;
  double learning_rate = 0.002;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  int warmup_epochs = 1;
  double warmup_learning_rate = 1e-5;
  int64_t seed = 1;
  // 1: the same features in every epoch. K > 1: epoch e (from 0) takes view
  // e % K. 0: epoch e takes view e.
  int views = 1;
  Selection selection = Selection::kLastStep;
  // Each holds one "{}"; of the methods that start from text features.
  std::vector<std::string> text_templates;
  // C of the logistic regression; 0: chosen on the validation images.
  double inverse_regularization = 0;
};

struct TrainingData {
  std::vector<std::string> class_names;  // [C]
  // [N, E], of any length; empty unless views = 1, see Learner::NeedsView.
  // With 0 epochs nothing but names and initial context is looked at.
  FloatTensor features;
  std::vector<int> labels;  // [N], 0 .. C-1
  // Names the features, those of all views, in checkpoints.
  std::string features_digest;
  // What a selection looks at, [V, E] and [V]: kBestValidation, or the choice
  // of the regularization.
  FloatTensor validation_features;
  std::vector<int> validation_labels;
  std::string validation_digest;
  // The parameter to start from instead of the method's own; its shape is
  // empty for none.
  FloatTensor initial_context;
  std::string initial_context_digest;
  // The encoder's files, of the methods that change its image tower; read while
  // the learner is made.
  const weights::EncoderFolder* encoder_folder = nullptr;
};

// Images that a learner wants to see themselves.
struct PixelRequest {
  std::vector<int64_t> rows;  // of the labels
  // The random view of them; nothing: as the test transform leaves them.
  std::optional<int> view;
};

struct LearnerProgress {
  int epoch = 0;     // finished epochs
  int64_t step = 0;  // finished steps
  int64_t steps = 0;
  // Means over the last finished epoch; over the running one before that.
  double loss = 0;
  double accuracy = 0;       // 0..1
  double learning_rate = 0;  // of the last step
};

// What was chosen by the validation images.
struct Chosen {
  int epoch = 0;                      // 1 is the first; 0: not an epoch
  double inverse_regularization = 0;  // 0: not a regularization
  double validation_accuracy = 0;     // 0..1, of what was chosen
};

struct Learned {
  ClassHead head;
  // The learned tensors by name: "ctx" [M, W] or [C, M, W]; "bias" [E] or
  // [C, E]; "transform" [E, E]; a whole image tower, "visual.*"; empty for
  // zero-shot, and for the methods whose head is all there is.
  std::map<std::string, FloatTensor> parameters;
  std::optional<Chosen> chosen;
};

// All calls on the device thread.
class Learner {
 public:
  virtual ~Learner() = default;

  virtual bool done() const = 0;
  virtual const LearnerProgress& progress() const = 0;

  // The view whose features the next unit needs; nothing when it has them.
  virtual std::optional<int> NeedsView() const { return std::nullopt; }
  // The features [N, E] of the view that NeedsView named, in the order of the
  // labels. INVALID_ARGUMENT (BAD_TRAINING_DATA).
  // For who never needs one it is a mistake to call it.
  virtual absl::Status SetFeatures(int view, const FloatTensor& features);

  // The images whose pixels the next unit needs; nothing when it has them. The
  // same of methods that look at features alone.
  virtual std::optional<PixelRequest> NeedsPixels() const {
    return std::nullopt;
  }
  // [rows, 3, S, S], as asked for by NeedsPixels. INVALID_ARGUMENT
  // (BAD_TRAINING_DATA).
  virtual absl::Status SetPixels(const FloatTensor& pixels);

  // One bounded piece of work. Call it when nothing is needed. OUT_OF_RANGE
  // (NON_FINITE_LOSS) names the step; the learner stays as it was before that
  // step and can be saved.
  virtual absl::Status RunUnit() = 0;

  // The state after the last finished step. A step that is under way is left
  // out and runs again after Restore.
  virtual absl::StatusOr<std::string> SaveCheckpoint() const = 0;
  // DATA_LOSS (BAD_CHECKPOINT) when it cannot be read; FAILED_PRECONDITION
  // (CHECKPOINT_MISMATCH) when it belongs to another spec, encoder, class list
  // or other features. The learner is unchanged then.
  virtual absl::Status Restore(const std::string& checkpoint) = 0;

  // Between steps: the units behind Result(), how many in all, and the next of
  // them. What is left of them runs there.
  virtual int64_t head_units() const { return 0; }
  virtual absl::Status RunHeadUnit() { return absl::OkStatus(); }
  virtual absl::StatusOr<Learned> Result() = 0;
};

// INVALID_ARGUMENT: UNKNOWN_METHOD, BAD_TRAINING_DATA, BAD_TRAINER_SPEC,
// BAD_INITIAL_CONTEXT, the method's own; the codes of clip/torch_status.h.
absl::StatusOr<std::unique_ptr<Learner>> MakeLearner(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data);

}  // namespace promptd::learners
