#include "client/classify.h"

#include "absl/strings/str_cat.h"
#include "client/image_batches.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

template <typename Request>
void AddImages(const ClassifyOptions& options, const ImageBatch& batch,
               Request* request) {
  request->set_top_k(options.top_k);
  for (const std::string& image : batch.images) request->add_images(image);
}

absl::StatusOr<v1::ClassifyResponse> Send(Session& session,
                                          const ClassifyOptions& options,
                                          const ImageBatch& batch) {
  if (!options.labels.empty()) {
    v1::ZeroShotClassifyRequest request;
    for (const std::string& label : options.labels) request.add_labels(label);
    request.set_template_(options.prompt_template);
    request.set_encoder(options.encoder);
    AddImages(options, batch, &request);
    return session.api.Call(session.api.classify(),
                            &ClassifyStub::ZeroShotClassify, request);
  }
  v1::ClassifyRequest request;
  SetSelector(options.task, &request);
  AddImages(options, batch, &request);
  return session.api.Call(session.api.classify(), &ClassifyStub::Classify,
                          request);
}

absl::Status Classify(Session& session, const ClassifyOptions& options,
                      const ImageBatch& batch, ClassifyOutcome* outcome) {
  ASSIGN_OR_RETURN(const v1::ClassifyResponse response,
                   Send(session, options, batch));
  if (response.results_size() != static_cast<int>(batch.files.size())) {
    return MakeError(
        absl::StatusCode::kInternal, "BAD_REPLY",
        absl::StrCat("the server answered ", response.results_size(), " of ",
                     batch.files.size(), " images"));
  }
  for (size_t i = 0; i < batch.files.size(); ++i) {
    const v1::ImageResult& result = response.results(static_cast<int>(i));
    FileResult& file = outcome->files[batch.files[i]];
    file.scores.assign(result.scores().begin(), result.scores().end());
    file.error_reason = result.error_reason();
    file.error_message = result.error_message();
  }
  outcome->version = response.version();
  outcome->version_digest = response.version_digest();
  outcome->encoder_digest = response.encoder_digest();
  ++outcome->calls;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClassifyOutcome> ClassifyFiles(Session& session,
                                              const ClassifyOptions& options) {
  ASSIGN_OR_RETURN(const v1::Limits limits, GetLimits(session));
  ClassifyOutcome outcome;
  for (const std::string& file : options.images) {
    outcome.files.push_back({file, {}, "", ""});
  }
  RETURN_IF_ERROR(SendImages(
      session, "classify", limits, options.images,
      [&](size_t file, const absl::Status& status) {
        outcome.files[file].error_reason = ErrorReason(status);
        outcome.files[file].error_message = std::string(status.message());
      },
      [&](const ImageBatch& batch) {
        return Classify(session, options, batch, &outcome);
      }));
  for (const FileResult& file : outcome.files) {
    if (!file.error_reason.empty()) ++outcome.failed;
  }
  return outcome;
}

}  // namespace promptd::client
