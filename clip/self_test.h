// What an encoder gives for fixed inputs, and how far that is from what was
// stored once: tells a processor, a library or a memory that computes
// something else from one that does not.
//
//   ASSIGN_OR_RETURN(const weights::SelfTest now,
//                    ComputeSelfTest(*encoder, "promptd 1.0, first load"));
//   for (const weights::SelfTestCheck& check : CompareSelfTest(now, golden))
//   ...
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/float_tensor.h"
#include "common/precision.h"
#include "weights/self_test.h"

namespace promptd::clip {

class Encoder;

// Towers in float32 may sum in another order, nothing more; bfloat16 ones
// round every layer.
weights::SelfTestLimits SelfTestTolerance(Precision precision);

// The fixed images, [N, 3, S, S]: levels 0..255 from a linear congruential
// generator, normalised as the encoder wants them. In the first every pixel
// has a level of its own, in the second squares of an eighth of the side do.
// tools/goldens/make_self_test.py makes the same.
FloatTensor SelfTestPixels(const Encoder& encoder);
// The fixed texts; one is longer than any context and is cut to it.
const std::vector<std::string>& SelfTestTexts();

// Features of both. Device thread only. The codes of torch_status.h.
absl::StatusOr<weights::SelfTest> ComputeSelfTest(const Encoder& encoder,
                                                  std::string origin);

// Images, then texts. `golden` is of float32 towers, `now` of towers in
// `precision`.
std::vector<weights::SelfTestCheck> CompareSelfTest(
    const weights::SelfTest& now, const weights::SelfTest& golden,
    Precision precision = Precision::kFloat32);

}  // namespace promptd::clip
