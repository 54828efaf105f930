#include "worker/encoder_set.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/digest_record.h"
#include "weights/encoder_folder.h"
#include "worker/encoder_self_test.h"
#include "worker/prompt_features.h"

namespace promptd::worker {
namespace {

EncoderDescription Describe(const clip::Encoder& encoder) {
  EncoderDescription description;
  description.name = encoder.name();
  description.digest = encoder.digest();
  description.embed_dim = encoder.config().embed_dim;
  description.image_size = encoder.config().vision.image_size;
  description.context_length = encoder.config().text.context_length;
  description.text_width = encoder.config().text.width;
  description.logit_scale = encoder.logit_scale();
  description.parameters = encoder.parameters();
  description.demonstration = encoder.demonstration();
  description.precision = encoder.precision();
  description.device = encoder.device();
  return description;
}

}  // namespace

absl::StatusOr<EncoderSet> EncoderSet::Load(
    const std::vector<std::string>& dirs, const clip::EncoderOptions& options) {
  if (dirs.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_ENCODER",
                     "no encoder folder was given: name one with --encoder");
  }
  EncoderSet set;
  for (const std::string& dir : dirs) {
    absl::StatusOr<weights::EncoderFolder> folder =
        weights::EncoderFolder::Open(dir);
    if (!folder.ok()) {
      return Annotate(folder.status(), absl::StrCat("encoder ", dir));
    }
    absl::StatusOr<std::shared_ptr<const clip::Encoder>> encoder =
        clip::Encoder::Load(*folder, options);
    if (!encoder.ok()) {
      return Annotate(encoder.status(), absl::StrCat("encoder ", dir));
    }
    ASSIGN_OR_RETURN(std::optional<weights::SelfTest> golden,
                     weights::ReadSelfTest(dir, (*encoder)->digest(),
                                           folder->config.embed_dim));
    RETURN_IF_ERROR(set.Add(Held{*std::move(encoder), dir, std::move(golden),
                                 folder->digest_from_record, folder->marks}));
  }
  return set;
}

absl::Status EncoderSet::Add(Held held) {
  const EncoderDescription description = Describe(*held.encoder);
  for (const EncoderDescription& other : descriptions_) {
    if (other.name == description.name || other.digest == description.digest) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, "DUPLICATE_ENCODER",
          absl::StrCat("encoders ", other.name, " and ", description.name,
                       " share their name or their content: name each "
                       "encoder once"));
    }
  }
  descriptions_.push_back(description);
  by_digest_.emplace(description.digest, std::move(held));
  return absl::OkStatus();
}

absl::Status EncoderSet::PassSelfTests() {
  for (auto& [digest, held] : by_digest_) {
    const bool first_load = !held.golden;
    if (held.digest_from_record && !first_load) continue;
    if (first_load) {
      ASSIGN_OR_RETURN(held.golden, MakeGolden(*held.encoder));
    }
    ASSIGN_OR_RETURN(const EncoderVerification verification,
                     RunSelfTest(digest));
    RETURN_IF_ERROR(RequirePassed(*held.encoder, held.folder, verification));
    if (first_load) KeepGolden(*held.encoder, held.folder, &*held.golden);
    if (!held.marks.empty()) {
      weights::RememberDigest(held.folder, digest, held.marks);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<const EncoderSet::Held*> EncoderSet::FindHeld(
    const std::string& digest) const {
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "ENCODER_NOT_HELD",
        absl::StrCat("this worker does not hold the encoder with digest ",
                     digest, ": start promptd with its folder (--encoder)"));
  }
  return &found->second;
}

absl::StatusOr<std::shared_ptr<const clip::Encoder>> EncoderSet::Find(
    const std::string& digest) const {
  ASSIGN_OR_RETURN(const Held* held, FindHeld(digest));
  return held->encoder;
}

absl::StatusOr<EncoderVerification> EncoderSet::RunSelfTest(
    const std::string& digest) const {
  ASSIGN_OR_RETURN(const Held* held, FindHeld(digest));
  return worker::RunSelfTest(*held->encoder, held->golden.value());
}

absl::StatusOr<weights::EncoderFolder> EncoderSet::OpenFolder(
    const std::string& digest) const {
  ASSIGN_OR_RETURN(const Held* held, FindHeld(digest));
  ASSIGN_OR_RETURN(weights::EncoderFolder folder,
                   weights::EncoderFolder::Open(held->folder));
  if (folder.digest.get() == digest) return folder;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "ENCODER_CHANGED",
      absl::StrCat("the files of encoder ", held->encoder->name(),
                   " are not those that were loaded: start promptd anew"));
}

absl::StatusOr<std::string> EncoderSet::Folder(
    const std::string& digest) const {
  ASSIGN_OR_RETURN(const Held* held, FindHeld(digest));
  return held->folder;
}

std::vector<std::string> EncoderSet::unverified() const {
  std::vector<std::string> digests;
  for (const auto& [digest, held] : by_digest_) {
    if (held.digest_from_record) digests.push_back(digest);
  }
  return digests;
}

void EncoderSet::Distrust(const std::string& digest) const {
  if (const auto held = FindHeld(digest); held.ok()) {
    weights::ForgetDigest((*held)->folder);
  }
}

std::vector<std::string> EncoderSet::digests() const {
  std::vector<std::string> digests;
  for (const EncoderDescription& description : descriptions_) {
    digests.push_back(description.digest);
  }
  return digests;
}

}  // namespace promptd::worker
