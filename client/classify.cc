#include "client/classify.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/error_report.h"
#include "client/progress.h"
#include "client/text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

// Room for the rest of a request beside its images.
constexpr int64_t kMessageOverhead = 64 << 10;
constexpr int64_t kFallbackMessageBytes = 4 << 20;

struct Batch {
  std::vector<size_t> files;  // indexes into the outcome
  std::vector<std::string> images;
  int64_t bytes = 0;
};

absl::StatusOr<std::string> ReadImage(const std::string& file,
                                      int64_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (std::filesystem::is_directory(status)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "IS_A_FOLDER",
                     absl::StrCat(file, " is a folder: name its images, e.g. ",
                                  file, "/*.jpg"));
  }
  if (status.type() == std::filesystem::file_type::not_found &&
      file.find_first_of("*?[") != std::string::npos) {
    return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                     absl::StrCat("no file matches \"", file, "\""));
  }
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(file, max_bytes));
  if (bytes.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "IMAGE_EMPTY",
                     absl::StrCat(file, " is empty"));
  }
  return bytes;
}

void SetFileError(const absl::Status& status, FileResult* result) {
  result->error_reason = ErrorReason(status);
  result->error_message = std::string(status.message());
}

template <typename Request>
void AddImages(const ClassifyOptions& options, const Batch& batch,
               Request* request) {
  request->set_top_k(options.top_k);
  for (const std::string& image : batch.images) request->add_images(image);
}

absl::StatusOr<v1::ClassifyResponse> Send(Session& session,
                                          const ClassifyOptions& options,
                                          const Batch& batch) {
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
  request.set_task(options.task.task);
  if (options.task.version > 0) request.set_version(options.task.version);
  if (!options.task.alias.empty()) request.set_alias(options.task.alias);
  AddImages(options, batch, &request);
  return session.api.Call(session.api.classify(), &ClassifyStub::Classify,
                          request);
}

absl::Status Flush(Session& session, const ClassifyOptions& options,
                   Batch* batch, ClassifyOutcome* outcome) {
  if (batch->files.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const v1::ClassifyResponse response,
                   Send(session, options, *batch));
  if (response.results_size() != static_cast<int>(batch->files.size())) {
    return MakeError(
        absl::StatusCode::kInternal, "BAD_REPLY",
        absl::StrCat("the server answered ", response.results_size(), " of ",
                     batch->files.size(), " images"));
  }
  for (size_t i = 0; i < batch->files.size(); ++i) {
    const v1::ImageResult& result = response.results(static_cast<int>(i));
    FileResult& file = outcome->files[batch->files[i]];
    file.scores.assign(result.scores().begin(), result.scores().end());
    file.error_reason = result.error_reason();
    file.error_message = result.error_message();
  }
  outcome->version = response.version();
  outcome->version_digest = response.version_digest();
  outcome->encoder_digest = response.encoder_digest();
  ++outcome->calls;
  *batch = Batch();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ClassifyOutcome> ClassifyFiles(Session& session,
                                              const ClassifyOptions& options) {
  ASSIGN_OR_RETURN(
      const v1::GetServerInfoResponse server,
      session.api.Call(session.api.server(), &ServerStub::GetServerInfo,
                       v1::GetServerInfoRequest()));
  const v1::Limits& limits = server.limits();
  const int64_t message_bytes = limits.max_message_bytes() > kMessageOverhead
                                    ? limits.max_message_bytes()
                                    : kFallbackMessageBytes;
  const int64_t room = message_bytes - kMessageOverhead;
  const size_t per_call =
      static_cast<size_t>(std::max(1, limits.max_images_per_call()));
  ClassifyOutcome outcome;
  Batch batch;
  Progress progress(session.console, session.clock);
  for (size_t i = 0; i < options.images.size(); ++i) {
    outcome.files.push_back({options.images[i], {}, "", ""});
    absl::StatusOr<std::string> image = ReadImage(
        options.images[i], limits.max_image_bytes() > 0
                               ? std::min(limits.max_image_bytes(), room)
                               : room);
    if (!image.ok()) {
      SetFileError(image.status(), &outcome.files.back());
      continue;
    }
    const auto bytes = static_cast<int64_t>(image->size());
    if (batch.files.size() == per_call || batch.bytes + bytes > room) {
      RETURN_IF_ERROR(Flush(session, options, &batch, &outcome));
      progress.Update(
          "classify",
          static_cast<double>(i) / static_cast<double>(options.images.size()),
          absl::StrCat(i, " of ", options.images.size()));
    }
    batch.files.push_back(i);
    batch.images.push_back(*std::move(image));
    batch.bytes += bytes;
  }
  RETURN_IF_ERROR(Flush(session, options, &batch, &outcome));
  for (const FileResult& file : outcome.files) {
    if (!file.error_reason.empty()) ++outcome.failed;
  }
  return outcome;
}

}  // namespace promptd::client
