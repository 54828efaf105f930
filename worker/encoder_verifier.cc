#include "worker/encoder_verifier.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "common/error.h"
#include "common/scheduling.h"
#include "common/status_macros.h"
#include "weights/encoder_folder.h"
#include "worker/call_end.h"

namespace promptd::worker {
namespace {

constexpr size_t kMaxWaiting = 16;

}  // namespace

EncoderVerifier::EncoderVerifier(const EncoderSet* encoders, DeviceLoop* loop)
    : encoders_(encoders),
      loop_(loop),
      queue_(kMaxWaiting),
      thread_([this] { Loop(); }) {}

EncoderVerifier::~EncoderVerifier() { Stop(); }

void EncoderVerifier::Verify(const VerifyCall& call,
                             const Executor::VerifyCallback& done) {
  if (queue_.TryPush({call, done})) return;
  absl::Status why = StillWanted(call);
  if (why.ok()) {
    why = MakeError(absl::StatusCode::kUnavailable, "QUEUE_FULL",
                    "too many verifications wait: try again in a moment");
  }
  done(why);
}

void EncoderVerifier::Loop() {
  YieldToAnswering();  // it hashes whole encoders
  while (const std::optional<Work> work = queue_.Pop()) {
    work->done(Run(work->call));
  }
}

absl::StatusOr<EncoderVerification> EncoderVerifier::Run(
    const VerifyCall& call) const {
  RETURN_IF_ERROR(StillWanted(call));
  ASSIGN_OR_RETURN(const std::string folder,
                   encoders_->Folder(call.encoder_digest));
  // The vectors first: after a start they warm the encoder.
  EncoderVerification verification;
  const absl::Status ran = loop_->RunServing([&]() -> absl::Status {
    RETURN_IF_ERROR(StillWanted(call));
    ASSIGN_OR_RETURN(verification, encoders_->RunSelfTest(call.encoder_digest));
    return absl::OkStatus();
  });
  RETURN_IF_ERROR(ran);
  const absl::StatusOr<std::string> digest = weights::HashEncoderFolder(
      folder, [&] { return !StillWanted(call).ok(); });
  RETURN_IF_ERROR(StillWanted(call));
  verification.digest_on_disk = digest.value_or("");
  verification.files_unchanged =
      verification.digest_on_disk == call.encoder_digest;
  verification.passed =
      verification.files_unchanged &&
      std::all_of(verification.checks.begin(), verification.checks.end(),
                  [](const auto& check) { return check.passed; });
  return verification;
}

absl::Status EncoderVerifier::StillWanted(const VerifyCall& call) const {
  if (stopping_) return ShuttingDown();
  return CheckAwaited(call.deadline, call.cancelled);
}

void EncoderVerifier::Stop() {
  stopping_ = true;
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

}  // namespace promptd::worker
