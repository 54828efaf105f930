#include "client/classify.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/image_batches.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "promptd/v1/server.pb.h"

namespace promptd::client {
namespace {

// Whether a batch's images go as they are, or by name.
enum class Form { kBytes, kDigests };

template <typename Request>
void AddImages(const ClassifyOptions& options, const ImageBatch& batch,
               Form form, Request* request) {
  request->set_top_k(options.top_k);
  request->set_no_cache(options.no_cache);
  request->set_priority(options.priority);
  for (const std::string& image : batch.images) {
    if (form == Form::kBytes) {
      request->add_images(image);
    } else {
      request->add_image_digests(Sha256Bytes(image));
    }
  }
}

absl::StatusOr<v1::ClassifyResponse> Send(Session& session,
                                          const ClassifyOptions& options,
                                          const ImageBatch& batch, Form form) {
  if (!options.labels.empty()) {
    v1::ZeroShotClassifyRequest request;
    for (const std::string& label : options.labels) request.add_labels(label);
    request.set_template_(options.prompt_template);
    request.set_encoder(options.encoder);
    AddImages(options, batch, form, &request);
    return session.api.Call(&v1::ClassifyService::Stub::ZeroShotClassify,
                            request);
  }
  v1::ClassifyRequest request;
  SetSelector(options.task, &request);
  AddImages(options, batch, form, &request);
  return session.api.Call(&v1::ClassifyService::Stub::Classify, request);
}

absl::Status Classify(Session& session, const ClassifyOptions& options,
                      const ImageBatch& batch, Form form,
                      ClassifyOutcome* outcome) {
  ASSIGN_OR_RETURN(const v1::ClassifyResponse response,
                   Send(session, options, batch, form));
  RETURN_IF_ERROR(TakeResults(response.results(), batch, outcome));
  KeepSlowest(response.timings(), outcome);
  outcome->version = response.version();
  outcome->version_digest = response.version_digest();
  outcome->encoder_digest = response.encoder_digest();
  ++outcome->calls;
  return absl::OkStatus();
}

// The digests, then the bytes that are missing.
absl::Status ClassifyByDigest(Session& session, const ClassifyOptions& options,
                              const ImageBatch& batch,
                              ClassifyOutcome* outcome) {
  RETURN_IF_ERROR(Classify(session, options, batch, Form::kDigests, outcome));
  ImageBatch rest;
  for (size_t i = 0; i < batch.files.size(); ++i) {
    if (outcome->files[batch.files[i]].error_reason != "IMAGE_NOT_CACHED") {
      continue;
    }
    rest.files.push_back(batch.files[i]);
    rest.images.push_back(batch.images[i]);
  }
  if (rest.files.empty()) return absl::OkStatus();
  return Classify(session, options, rest, Form::kBytes, outcome);
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace

ClassifyOutcome NoAnswers(const std::vector<std::string>& files) {
  ClassifyOutcome outcome;
  for (const std::string& file : files) outcome.files.push_back({.file = file});
  return outcome;
}

void SetError(const absl::Status& status, FileResult* file) {
  file->error_reason = ErrorReason(status);
  file->error_message = std::string(status.message());
}

absl::Status BadReply(int answered, size_t asked, absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInternal, "BAD_REPLY",
      absl::StrCat("the server answered ", answered, " of ", asked, " ", what));
}

absl::Status TakeResults(
    const google::protobuf::RepeatedPtrField<v1::ImageResult>& results,
    const ImageBatch& batch, ClassifyOutcome* outcome) {
  if (results.size() != static_cast<int>(batch.files.size())) {
    return BadReply(results.size(), batch.files.size(), "images");
  }
  for (size_t i = 0; i < batch.files.size(); ++i) {
    const v1::ImageResult& result = results.Get(static_cast<int>(i));
    FileResult& file = outcome->files[batch.files[i]];
    file.scores.assign(result.scores().begin(), result.scores().end());
    file.error_reason = result.error_reason();
    file.error_message = result.error_message();
    file.cache = result.cache();
    file.batch_size = result.batch_size();
  }
  return absl::OkStatus();
}

void KeepSlowest(const v1::StageTimings& timings, ClassifyOutcome* outcome) {
  if (ToDuration(timings.total()) >= ToDuration(outcome->timings.total())) {
    outcome->timings = timings;
  }
}

void CountFailed(ClassifyOutcome* outcome) {
  if (!outcome->error_reason.empty()) {
    outcome->failed = static_cast<int>(outcome->files.size());
    return;
  }
  for (const FileResult& file : outcome->files) {
    if (!file.error_reason.empty()) ++outcome->failed;
  }
}

absl::StatusOr<ClassifyOutcome> ClassifyFiles(Session& session,
                                              const ClassifyOptions& options) {
  ASSIGN_OR_RETURN(const v1::Limits limits, GetLimits(session));
  ClassifyOutcome outcome = NoAnswers(options.images);
  RETURN_IF_ERROR(SendImages(
      session, "classify", limits, options.images,
      [&](size_t file, const absl::Status& status) {
        SetError(status, &outcome.files[file]);
      },
      [&](const ImageBatch& batch) {
        return options.by_digest
                   ? ClassifyByDigest(session, options, batch, &outcome)
                   : Classify(session, options, batch, Form::kBytes, &outcome);
      }));
  CountFailed(&outcome);
  return outcome;
}

}  // namespace promptd::client
