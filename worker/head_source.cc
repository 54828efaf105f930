#include "worker/head_source.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/encoder.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "worker/head_blob.h"
#include "worker/prompt_features.h"

namespace promptd::worker {

std::string HeadSource::NameOf(const clip::Encoder& encoder,
                               const TextSide& text) {
  if (!text.features_digest.empty()) return text.features_digest;
  return Sha256Hex(
      absl::StrCat("zero-shot\n", encoder.digest(), "\n",
                   absl::StrJoin(text.texts, absl::string_view("\0", 1))));
}

bool HeadSource::Resolve(const clip::Encoder& encoder,
                         const std::vector<HeadQuery>& queries,
                         const std::vector<std::string>& names, bool on_device,
                         std::vector<ResolvedHead>* heads) {
  heads->clear();
  heads->reserve(queries.size());
  for (size_t i = 0; i < queries.size(); ++i) {
    const TextSide& text = queries[i].text;
    absl::StatusOr<SharedHead> head = SharedHead();
    if (!text.features_digest.empty()) {
      head = Learned(encoder, text.features_digest);
    } else if (on_device) {
      head = ZeroShot(encoder, names[i], text.texts);
    } else {
      head = cache_.Find(names[i]);
      if (*head == nullptr) return false;
    }
    heads->push_back(head.ok() ? ResolvedHead{absl::OkStatus(), *head}
                               : ResolvedHead{head.status(), nullptr});
  }
  return true;
}

absl::StatusOr<SharedHead> HeadSource::Learned(const clip::Encoder& encoder,
                                               const std::string& digest) {
  return cache_.FindOrLoad(digest, [&]() -> absl::StatusOr<ClassHead> {
    ASSIGN_OR_RETURN(const std::string bytes, read_blob_(digest));
    return ParseHead(bytes, encoder.config().embed_dim);
  });
}

absl::StatusOr<SharedHead> HeadSource::ZeroShot(
    const clip::Encoder& encoder, const std::string& name,
    const std::vector<std::string>& texts) {
  return cache_.FindOrLoad(name, [&]() -> absl::StatusOr<ClassHead> {
    ClassHead zero_shot;
    ASSIGN_OR_RETURN(zero_shot.weights, EncodeTexts(encoder, texts));
    return zero_shot;
  });
}

}  // namespace promptd::worker
