#include "client/embed.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/image_batches.h"
#include "client/progress.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "datasets/name_rules.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/server.pb.h"
#include "weights/safetensors.h"

namespace promptd::client {
namespace {

EmbedOutcome Unanswered(const std::vector<std::string>& subjects) {
  EmbedOutcome outcome;
  for (const std::string& subject : subjects) {
    outcome.items.emplace_back().subject = subject;
  }
  return outcome;
}

void SetError(const absl::Status& status, Embedded* item) {
  item->error_reason = ErrorReason(status);
  item->error_message = std::string(status.message());
}

// Puts one reply's answers at `indexes`.
absl::Status Store(const v1::EmbedResponse& reply,
                   const std::vector<size_t>& indexes, EmbedOutcome* outcome) {
  if (reply.embeddings_size() != static_cast<int>(indexes.size())) {
    return MakeError(
        absl::StatusCode::kInternal, "BAD_REPLY",
        absl::StrCat("the server answered ", reply.embeddings_size(), " of ",
                     indexes.size()));
  }
  if (!outcome->encoder_digest.empty() &&
      outcome->encoder_digest != reply.encoder_digest()) {
    return MakeError(absl::StatusCode::kAborted, "ENCODER_CHANGED",
                     "the server's encoder changed between two calls: repeat "
                     "the command");
  }
  outcome->encoder_digest = reply.encoder_digest();
  for (size_t i = 0; i < indexes.size(); ++i) {
    const v1::Embedding& embedding = reply.embeddings(static_cast<int>(i));
    Embedded& item = outcome->items[indexes[i]];
    item.values.assign(embedding.values().begin(), embedding.values().end());
    item.norm = embedding.norm();
    item.error_reason = embedding.error_reason();
    item.error_message = embedding.error_message();
  }
  return absl::OkStatus();
}

void CountFailed(EmbedOutcome* outcome) {
  for (const Embedded& item : outcome->items) {
    if (!item.error_reason.empty()) ++outcome->failed;
  }
}

// What the server could not even be asked.
absl::Status CheckText(const std::string& text, int64_t room) {
  if (!datasets::IsUtf8(text)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_UTF8",
                     "is not valid UTF-8: save it as UTF-8");
  }
  if (static_cast<int64_t>(text.size()) > room) {
    return MakeError(absl::StatusCode::kInvalidArgument, "TEXT_TOO_LONG",
                     "does not fit into a message: shorten it");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EmbedOutcome> EmbedFiles(Session& session,
                                        const std::string& encoder,
                                        const std::vector<std::string>& files,
                                        bool no_cache) {
  ASSIGN_OR_RETURN(const v1::Limits limits, GetLimits(session));
  EmbedOutcome outcome = Unanswered(files);
  RETURN_IF_ERROR(SendImages(
      session, "embed", limits, files,
      [&](size_t file, const absl::Status& status) {
        SetError(status, &outcome.items[file]);
      },
      [&](const ImageBatch& batch) -> absl::Status {
        v1::EmbedImagesRequest request;
        request.set_encoder(encoder);
        request.set_no_cache(no_cache);
        for (const std::string& image : batch.images) {
          request.add_images(image);
        }
        ASSIGN_OR_RETURN(
            const v1::EmbedResponse reply,
            session.api.Call(&v1::EncoderService::Stub::EmbedImages, request));
        return Store(reply, batch.files, &outcome);
      }));
  CountFailed(&outcome);
  return outcome;
}

absl::StatusOr<EmbedOutcome> EmbedTexts(Session& session,
                                        const std::string& encoder,
                                        const std::vector<std::string>& texts,
                                        bool truncate) {
  ASSIGN_OR_RETURN(const v1::Limits limits, GetLimits(session));
  const int64_t room = RoomPerCall(limits);
  const int per_call = std::max(1, limits.max_texts_per_call());
  EmbedOutcome outcome = Unanswered(texts);
  Progress progress(session.console, session.clock);
  for (size_t next = 0; next < texts.size();) {
    v1::EmbedTextsRequest request;
    request.set_encoder(encoder);
    request.set_truncate(truncate);
    std::vector<size_t> indexes;
    int64_t bytes = 0;
    for (; next < texts.size() && request.texts_size() < per_call; ++next) {
      const std::string& text = texts[next];
      if (const absl::Status status = CheckText(text, room); !status.ok()) {
        SetError(status, &outcome.items[next]);
        continue;
      }
      bytes += static_cast<int64_t>(text.size());
      if (bytes > room) break;
      request.add_texts(text);
      indexes.push_back(next);
    }
    if (indexes.empty()) continue;
    ASSIGN_OR_RETURN(
        const v1::EmbedResponse reply,
        session.api.Call(&v1::EncoderService::Stub::EmbedTexts, request));
    RETURN_IF_ERROR(Store(reply, indexes, &outcome));
    if (next == texts.size()) break;
    progress.Update(
        "embed", static_cast<double>(next) / static_cast<double>(texts.size()),
        absl::StrCat(next, " of ", texts.size()));
  }
  CountFailed(&outcome);
  return outcome;
}

absl::Status WriteFeatures(const EmbedOutcome& outcome,
                           const std::string& features_of,
                           const std::string& path) {
  FloatTensor features;
  const size_t width = outcome.items.front().values.size();
  features.shape = {static_cast<int64_t>(outcome.items.size()),
                    static_cast<int64_t>(width)};
  features.values.reserve(outcome.items.size() * width);
  for (const Embedded& item : outcome.items) {
    features.values.insert(features.values.end(), item.values.begin(),
                           item.values.end());
  }
  ASSIGN_OR_RETURN(
      const std::string bytes,
      weights::WriteSafetensors({{"features", features}},
                                {{"encoder_digest", outcome.encoder_digest},
                                 {"features_of", features_of}}));
  return WriteFileAtomically(path, bytes);
}

}  // namespace promptd::client
