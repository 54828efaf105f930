#include "worker/encoder_self_test.h"

#include <spdlog/spdlog.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clip/encoder.h"
#include "clip/self_test.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::worker {

absl::StatusOr<weights::SelfTest> MakeGolden(const clip::Encoder& encoder) {
  return clip::ComputeSelfTest(encoder,
                               "promptd " PROMPTD_VERSION ", first load");
}

void KeepGolden(const clip::Encoder& encoder, const std::string& folder,
                weights::SelfTest* golden) {
  std::string problem =
      "only float32 vectors are kept: start promptd once "
      "without --precision";
  if (encoder.precision() == Precision::kFloat32) {
    const absl::Status kept = weights::WriteSelfTest(folder, *golden);
    if (kept.ok()) return;
    problem = std::string(kept.message());
  }
  spdlog::warn("the self-test of {} lasts until promptd ends: {}", folder,
               problem);
  golden->origin = "promptd " PROMPTD_VERSION ", this start";
}

absl::StatusOr<EncoderVerification> RunSelfTest(
    const clip::Encoder& encoder, const weights::SelfTest& golden) {
  ASSIGN_OR_RETURN(const weights::SelfTest now,
                   clip::ComputeSelfTest(encoder, "now"));
  EncoderVerification verification;
  verification.checks = clip::CompareSelfTest(now, golden, encoder.precision());
  verification.origin = golden.origin;
  return verification;
}

absl::Status RequirePassed(const clip::Encoder& encoder,
                           const std::string& folder,
                           const EncoderVerification& verification) {
  std::vector<std::string> failed;
  for (const weights::SelfTestCheck& check : verification.checks) {
    if (check.passed) continue;
    failed.push_back(absl::StrFormat(
        "%s deviate by %.1e (at most %.0e), smallest cosine %.5f (at least "
        "%.5g)",
        check.subject, check.deviation, check.limits.deviation, check.cosine,
        check.limits.cosine));
  }
  if (failed.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "ENCODER_SELF_TEST_FAILED",
      absl::StrCat(
          "encoder ", encoder.name(),
          " fails its self-test: ", absl::StrJoin(failed, "; "),
          ". The golden vectors are of ", verification.origin,
          ": look for a broken memory or processor and import the encoder "
          "again, or, if another processor or library was meant, delete ",
          folder, "/", weights::kSelfTestFile,
          ", which promptd makes again at its next start"));
}

}  // namespace promptd::worker
