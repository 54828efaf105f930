#include "learners/learner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "learners/trainer.h"

namespace promptd::learners {

absl::StatusOr<std::unique_ptr<Learner>> MakeLearner(
    std::shared_ptr<const clip::Encoder> encoder, const TrainerSpec& spec,
    TrainingData data) {
  const MethodTraits* const traits = FindMethod(spec.method);
  if (traits == nullptr) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "UNKNOWN_METHOD",
        absl::StrCat("there is no method \"", spec.method, "\": use ",
                     absl::StrJoin(MethodNames(), ", ")));
  }
  return Trainer::Create(std::move(encoder), spec, std::move(data));
}

}  // namespace promptd::learners
