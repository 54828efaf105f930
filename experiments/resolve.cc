#include "experiments/resolve.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/sha256.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace promptd::experiments {
namespace {

constexpr size_t kMaxTaskBytes = 63;
constexpr size_t kTaskDigits = 8;
constexpr size_t kIdDigits = 40;

// Parts are counted, so that no two lists read the same.
std::string DigestOf(const std::vector<std::string>& parts) {
  Sha256 sha;
  for (const std::string& part : parts) {
    sha.Update(absl::StrCat(part.size(), ":"));
    sha.Update(part);
  }
  return sha.HexDigest();
}

std::string BytesOf(const v1::TrainingSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
  }
  return bytes;
}

std::vector<std::string> TrainingParts(const Held& held, const Member& member) {
  return {member.key, BytesOf(member.spec),
          held.datasets.at(member.dataset).digest,
          held.encoder_digests.at(member.encoder)};
}

std::string TaskName(const HeldDataset& dataset, const Member& member,
                     const std::string& encoder_digest) {
  std::vector<std::string> parts = dataset.class_names;
  parts.push_back(encoder_digest);
  std::string name = absl::StrCat("x-", member.dataset, "-", member.encoder);
  name.resize(std::min(name.size(), kMaxTaskBytes - kTaskDigits - 1));
  return absl::StrCat(name, "-", DigestOf(parts).substr(0, kTaskDigits));
}

std::string Id(const std::vector<std::string>& parts) {
  return absl::StrCat("exp-", DigestOf(parts).substr(0, kIdDigits));
}

}  // namespace

void Resolve(const Held& held, Plan* plan) {
  for (Member& member : plan->members) {
    const HeldDataset& dataset = held.datasets.at(member.dataset);
    member.spec.set_dataset(dataset.name);
    member.spec.set_task(
        TaskName(dataset, member, held.encoder_digests.at(member.encoder)));
  }
}

std::string Fingerprint(const Held& held, const Member& resolved) {
  std::vector<std::string> parts = TrainingParts(held, resolved);
  for (const std::string& target : resolved.targets) {
    parts.push_back(target);
    parts.push_back(held.datasets.at(target).digest);
  }
  return DigestOf(parts);
}

std::string TrainingRequestId(const Held& held, const Member& resolved,
                              int attempt) {
  std::vector<std::string> parts = TrainingParts(held, resolved);
  parts.push_back(absl::StrCat("attempt ", attempt));
  return Id(parts);
}

std::string EvaluationRequestId(const Held& held, const Member& resolved,
                                const std::string& target, int attempt) {
  std::vector<std::string> parts = TrainingParts(held, resolved);
  parts.push_back(absl::StrCat("attempt ", attempt));
  parts.push_back(held.datasets.at(target).name);
  parts.push_back(held.datasets.at(target).digest);
  return Id(parts);
}

}  // namespace promptd::experiments
