// An encoder against its golden vectors, at load and on request. Device
// thread only.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weights/self_test.h"
#include "worker/executor.h"

namespace promptd::clip {
class Encoder;
}

namespace promptd::worker {

// Golden vectors of now. The codes of torch_status.h.
absl::StatusOr<weights::SelfTest> MakeGolden(const clip::Encoder& encoder);

// Keeps them in `folder` for later starts; where it may not be written or the
// encoder does not compute in float32, logs it and says in their origin that
// they last as long as this process.
void KeepGolden(const clip::Encoder& encoder, const std::string& folder,
                weights::SelfTest* golden);

// Checks and origin; the rest of the verification is left alone. The codes of
// torch_status.h.
absl::StatusOr<EncoderVerification> RunSelfTest(
    const clip::Encoder& encoder, const weights::SelfTest& golden);

// OK when every check has passed. FAILED_PRECONDITION
// (ENCODER_SELF_TEST_FAILED) names encoder, subjects and figures.
absl::Status RequirePassed(const clip::Encoder& encoder,
                           const std::string& folder,
                           const EncoderVerification& verification);

}  // namespace promptd::worker
