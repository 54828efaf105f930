#include "server/embed_calls.h"

#include <string>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_classify.h"
#include "server/item_checks.h"
#include "server/spec_resolver.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

constexpr char kInvalidRequest[] = "INVALID_EMBED_REQUEST";

// Finds the encoder and begins the reply; returns the encoder's digest.
absl::StatusOr<std::string> Prepare(
    const Backend& backend, const Call& call, const std::string& encoder_name,
    const std::vector<FieldViolation>& violations, v1::EmbedResponse* reply) {
  if (!violations.empty()) return InvalidFields(kInvalidRequest, violations);
  ASSIGN_OR_RETURN(const worker::EncoderDescription encoder,
                   FindEncoder(backend, encoder_name));
  reply->set_encoder_digest(encoder.digest);
  reply->set_request_id(call.request_id());
  return encoder.digest;
}

// One answer a worker::ImageOutcome or worker::TextOutcome.
template <typename Outcomes>
void Fill(const Outcomes& outcomes, v1::EmbedResponse* reply) {
  for (const auto& outcome : outcomes) {
    v1::Embedding* out = reply->add_embeddings();
    if (!outcome.status.ok()) {
      SetItemError(outcome.status, out);
      continue;
    }
    const std::vector<float>& values = outcome.embedding.values;
    out->mutable_values()->Add(values.begin(), values.end());
    out->set_norm(outcome.embedding.norm);
  }
}

}  // namespace

void EmbedImages(const Backend& backend, const std::shared_ptr<Call>& call,
                 const v1::EmbedImagesRequest& request,
                 v1::EmbedResponse* reply, const Rpc::Done& done) {
  std::vector<FieldViolation> violations;
  CheckItemCount("images", request.images_size(),
                 backend.limits.max_images_per_call, &violations);
  const absl::StatusOr<std::string> digest =
      Prepare(backend, *call, request.encoder(), violations, reply);
  if (!digest.ok()) return done(digest.status());
  worker::ClassifyCall work;
  work.tenant = call->principal().tenant;
  work.encoder_digest = *digest;
  work.embed = true;
  work.no_cache = request.no_cache();
  work.images.assign(request.images().begin(), request.images().end());
  work.deadline = call->deadline();
  work.cancelled = call->CancelledFunction();
  backend.executor->Classify(
      std::move(work),
      [call, reply,
       done](const absl::StatusOr<worker::ClassifyOutcome>& outcome) {
        done(Guarded(*call, [&]() -> absl::Status {
          RETURN_IF_ERROR(outcome.status());
          Fill(outcome->images, reply);
          for (size_t i = 0; i < outcome->images.size(); ++i) {
            const worker::ImageOutcome& image = outcome->images[i];
            v1::Embedding* out = reply->mutable_embeddings(static_cast<int>(i));
            out->set_cache(CacheStateOf(image.cache));
            out->set_batch_size(image.batch_size);
          }
          MergeTimings(*outcome, reply->mutable_timings());
          return absl::OkStatus();
        }));
      });
}

void EmbedTexts(const Backend& backend, const std::shared_ptr<Call>& call,
                const v1::EmbedTextsRequest& request, v1::EmbedResponse* reply,
                const Rpc::Done& done) {
  std::vector<FieldViolation> violations;
  CheckItemCount("texts", request.texts_size(),
                 backend.limits.max_texts_per_call, &violations);
  const absl::StatusOr<std::string> digest =
      Prepare(backend, *call, request.encoder(), violations, reply);
  if (!digest.ok()) return done(digest.status());
  worker::EmbedTextsCall work;
  work.encoder_digest = *digest;
  work.texts.assign(request.texts().begin(), request.texts().end());
  work.truncate = request.truncate();
  work.deadline = call->deadline();
  work.cancelled = call->CancelledFunction();
  backend.executor->EmbedTexts(
      std::move(work),
      [call, reply,
       done](const absl::StatusOr<std::vector<worker::TextOutcome>>& outcome) {
        done(Guarded(*call, [&]() -> absl::Status {
          RETURN_IF_ERROR(outcome.status());
          Fill(*outcome, reply);
          return absl::OkStatus();
        }));
      });
}

}  // namespace promptd::server
