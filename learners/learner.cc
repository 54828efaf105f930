#include "learners/learner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/encoder.h"
#include "common/check.h"
#include "common/error.h"
#include "common/method_traits.h"
#include "learners/class_prior.h"
#include "learners/image_tuning.h"
#include "learners/linear_probe.h"
#include "learners/trainer.h"
#include "learners/zero_shot.h"

namespace promptd::learners {
namespace {

absl::Status UnknownMethod(const std::string& name) {
  return MakeError(absl::StatusCode::kInvalidArgument, "UNKNOWN_METHOD",
                   absl::StrCat("there is no method \"", name, "\": use ",
                                absl::StrJoin(MethodNames(), ", ")));
}

}  // namespace

absl::Status Learner::SetFeatures(int /*view*/,
                                  const FloatTensor& /*features*/) {
  PROMPTD_CHECK(NeedsView().has_value());
  return absl::OkStatus();
}

absl::Status Learner::SetPixels(const FloatTensor& /*pixels*/) {
  PROMPTD_CHECK(NeedsPixels().has_value());
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Learner>> MakeLearner(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data) {
  const MethodTraits* const traits = FindMethod(spec.method);
  if (traits == nullptr) return UnknownMethod(spec.method);
  if (traits->image_tower) {
    return MakeImageTuning(std::move(encoder), spec, std::move(data));
  }
  if (traits->steps) {
    return Trainer::Create(std::move(encoder), spec, std::move(data));
  }
  if (spec.method == "class_prior") {
    return MakeClassPrior(std::move(encoder), spec, std::move(data));
  }
  if (spec.method == "linear_probe") {
    return MakeLinearProbe(std::move(encoder), spec, std::move(data));
  }
  PROMPTD_CHECK(spec.method == "zero_shot");
  return MakeZeroShot(std::move(encoder), spec, data);
}

}  // namespace promptd::learners
