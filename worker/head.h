// From an image feature to ranked classes.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "common/float_tensor.h"
#include "worker/executor.h"

namespace promptd::worker {

// CLIP's head: cosine similarities to every class, softmax of
// `logit_scale` * similarity over all classes, the `top_k` most probable
// (ties by class index). `image_feature` [E] need not have unit length;
// `text_features` [C, E] has unit rows. Pure.
std::vector<Scored> RankClasses(absl::Span<const float> image_feature,
                                const FloatTensor& text_features,
                                float logit_scale, int top_k);

}  // namespace promptd::worker
