// Learning behind the frozen text tower: what is learned changes the classes'
// text features, not the prompts. A step costs matrices of [C, E].
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "learners/method.h"

namespace promptd::learners {

// Both start from t_c [E], the mean text feature of class c over
// `text_templates` (text_ensemble.h), which their set-up computes once, and
// both start as zero-shot with them. INVALID_ARGUMENT: as TextEnsemble.

// w_c = unit(t_c + b): b [E], shared, or [C, E] when class-specific (the task
// residual of Yu et al., CVPR 2023, with a scale of 1); starts as zero.
absl::StatusOr<std::unique_ptr<Method>> MakeTextBias(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names);

// w_c = unit(W t_c): W [E, E] starts as the identity. Weight decay shrinks all
// of W; the unit length takes that back.
absl::StatusOr<std::unique_ptr<Method>> MakeTextTransform(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names);

}  // namespace promptd::learners
