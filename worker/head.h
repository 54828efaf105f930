// From an image feature to ranked classes.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "worker/classify_call.h"
#include "worker/resident_head.h"

namespace promptd::worker {

// The logits of common/class_head.h, their softmax over all classes, the
// `top_k` most probable (ties by class index). `image_feature` [E] is as the
// tower gives it. Similarities are cosines to the class's row of weights,
// whatever the head. Pure.
std::vector<Scored> RankClasses(absl::Span<const float> image_feature,
                                const ResidentHead& head, float logit_scale,
                                int top_k);

}  // namespace promptd::worker
