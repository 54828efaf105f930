// A way to adapt a frozen CLIP to a list of classes by steps of gradient
// descent; trainer.h takes the steps.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "clip/encoder.h"
#include "common/random.h"
#include "common/training_options.h"

namespace promptd::learners {

// Where the learned parameters act. Only a text-side method leaves image
// features independent of the task, so only it may use shared caches of them.
enum class Side { kText, kVisual, kConditional };

struct MethodSpec {
  int context_tokens = 16;   // M
  std::string context_init;  // words; empty: random
  ClassPosition class_position = ClassPosition::kEnd;
  bool class_specific = false;  // a context or bias for every class
  std::vector<std::string> text_templates = {};  // of text methods
};

// One list of classes on one encoder. What no step changes is computed first,
// by all set-up units. A pass over the classes runs in bounded units: Begin,
// ForwardUnit 0 .. units()-1, then text_features() is complete; after the loss,
// BackwardUnit units()-1 .. 0, then gradient() is. Functions without a Status
// throw c10::Error; only the device thread calls them.
class Method {
 public:
  virtual ~Method() = default;

  virtual Side side() const = 0;
  // The learned parameter before the first step, float32.
  virtual absl::StatusOr<at::Tensor> InitialParameter(Random* random) const = 0;
  // What a published version calls it.
  virtual absl::string_view parameter_name() const = 0;

  virtual int64_t setup_units() const { return 0; }
  virtual absl::Status RunSetupUnit() { return absl::OkStatus(); }

  virtual int64_t units() const = 0;
  virtual void Begin(const at::Tensor& parameter) = 0;
  virtual void ForwardUnit(int64_t unit) = 0;
  // [C, E], not normalised.
  virtual const at::Tensor& text_features() const = 0;
  // d_text [C, E].
  virtual void BackwardUnit(int64_t unit, const at::Tensor& d_text) = 0;
  // In the parameter's shape.
  virtual const at::Tensor& gradient() const = 0;
};

// INVALID_ARGUMENT (UNKNOWN_METHOD) lists the names there are; the method's
// own errors.
absl::StatusOr<std::unique_ptr<Method>> MakeMethod(
    const std::string& name,
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names);

}  // namespace promptd::learners
