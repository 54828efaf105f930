#include "weights/self_test.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "weights/safetensors.h"

namespace promptd::weights {
namespace {

constexpr char kFormat[] = "promptd self-test 1";
constexpr char kImages[] = "image_features";
constexpr char kTexts[] = "text_features";
constexpr int64_t kMaxFileBytes = int64_t{1} << 20;

std::string PathIn(const std::string& folder) {
  return absl::StrCat(folder, "/", kSelfTestFile);
}

absl::Status Malformed(const std::string& path, absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "SELF_TEST_MALFORMED",
                   absl::StrCat(path, " is not a self-test (", why,
                                "): delete it, promptd makes it again"));
}

// tools/goldens/make_self_test.py writes the same.
std::string Checksum(const SelfTest& test) {
  Sha256 digest;
  digest.Update(absl::StrCat(kFormat, "\n", test.encoder_digest, "\n",
                             test.origin, "\n"));
  for (const FloatTensor* tensor :
       {&test.image_features, &test.text_features}) {
    digest.Update(
        absl::string_view(reinterpret_cast<const char*>(tensor->values.data()),
                          tensor->values.size() * sizeof(float)));
  }
  return digest.HexDigest();
}

std::string Member(const Safetensors& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

absl::StatusOr<FloatTensor> Vectors(const Safetensors& file,
                                    const std::string& path, const char* name,
                                    const std::vector<int64_t>& shape) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.dtype != DType::kF32 ||
      found->second.shape != shape) {
    return Malformed(path, absl::StrCat("it needs a float32 tensor ", name,
                                        " [", absl::StrJoin(shape, ", "), "]"));
  }
  ASSIGN_OR_RETURN(FloatTensor vectors, file.Floats(name));
  if (!AllFinite(vectors)) {
    return Malformed(path, absl::StrCat(name, " is not finite"));
  }
  return vectors;
}

}  // namespace

absl::StatusOr<std::optional<SelfTest>> ReadSelfTest(
    const std::string& folder, const std::string& encoder_digest,
    int embed_dim) {
  const std::string path = PathIn(folder);
  absl::StatusOr<std::string> bytes = ReadFile(path, kMaxFileBytes);
  if (absl::IsNotFound(bytes.status())) return std::nullopt;
  RETURN_IF_ERROR(bytes.status());
  const absl::StatusOr<Safetensors> file =
      Safetensors::FromBytes(*std::move(bytes), "safetensors");
  if (!file.ok()) return Malformed(path, file.status().message());
  if (Member(*file, "format") != kFormat) {
    return Malformed(path, absl::StrCat("its format is not \"", kFormat, "\""));
  }
  SelfTest test;
  test.encoder_digest = Member(*file, "encoder_digest");
  test.origin = Member(*file, "origin");
  if (test.encoder_digest != encoder_digest) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "SELF_TEST_MISMATCH",
        absl::StrCat(path, " belongs to the encoder with digest ",
                     test.encoder_digest, ", this one has ", encoder_digest,
                     ": a file of the encoder was changed; import it again, "
                     "or delete the self-test if the change was meant"));
  }
  ASSIGN_OR_RETURN(test.image_features,
                   Vectors(*file, path, kImages, {kSelfTestImages, embed_dim}));
  ASSIGN_OR_RETURN(test.text_features,
                   Vectors(*file, path, kTexts, {kSelfTestTexts, embed_dim}));
  if (Member(*file, "checksum") != Checksum(test)) {
    return Malformed(path, "its checksum does not fit: it was damaged");
  }
  return test;
}

absl::Status WriteSelfTest(const std::string& folder, const SelfTest& test) {
  ASSIGN_OR_RETURN(const std::string bytes,
                   WriteSafetensors({{kImages, test.image_features},
                                     {kTexts, test.text_features}},
                                    {{"format", kFormat},
                                     {"encoder_digest", test.encoder_digest},
                                     {"origin", test.origin},
                                     {"checksum", Checksum(test)}}));
  return WriteFileAtomically(PathIn(folder), bytes);
}

}  // namespace promptd::weights
