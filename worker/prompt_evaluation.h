// Scores a learned prompt and its zero-shot baselines on one split.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/class_head.h"
#include "common/float_tensor.h"
#include "worker/device_loop.h"
#include "worker/evaluation.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

// Texts are encoded as training units on the device loop, some of one template
// at a time; the arithmetic of scores runs on the caller's thread.
class PromptEvaluation {
 public:
  // `check` is asked before each unit; an error ends the evaluation with it.
  PromptEvaluation(DeviceLoop* loop, const clip::Encoder* encoder,
                   std::function<absl::Status()> check)
      : loop_(loop), encoder_(encoder), check_(std::move(check)) {}

  // Whether every template fits the encoder's context with every class, before
  // anything is trained. INVALID_ARGUMENT (TEXT_TOO_LONG, BAD_UTF8,
  // RESERVED_TEXT) names the text.
  static absl::Status CheckTexts(const clip::Encoder& encoder,
                                 const std::vector<std::string>& class_names,
                                 const std::vector<std::string>& templates);

  // image_features [N, E], as the head's image tower gives them, with labels
  // [N]; encoder_features are those of the encoder's own tower, for the
  // baselines.
  // Every template holds one "{}" for the class name; the most accurate one is
  // the baseline (the first of equals).
  absl::StatusOr<Evaluation> Run(const std::string& split,
                                 const std::vector<std::string>& class_names,
                                 const std::vector<std::string>& templates,
                                 const FloatTensor& image_features,
                                 const FloatTensor& encoder_features,
                                 const std::vector<int>& labels,
                                 const ClassHead& head);

 private:
  // Unit rows [texts, E], in bounded units.
  absl::StatusOr<FloatTensor> Encode(const std::vector<std::string>& texts);

  DeviceLoop* const loop_;
  const clip::Encoder* const encoder_;
  const std::function<absl::Status()> check_;
};

}  // namespace promptd::worker
