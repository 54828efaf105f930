#include "client/multi_classify.h"

#include "client/image_batches.h"
#include "common/status_macros.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "promptd/v1/server.pb.h"

namespace promptd::client {
namespace {

absl::Status TakeTask(const v1::TaskResult& result, const ImageBatch& batch,
                      ClassifyOutcome* outcome) {
  outcome->version = result.version();
  outcome->version_digest = result.version_digest();
  outcome->encoder_digest = result.encoder_digest();
  if (!result.error_reason().empty()) {
    outcome->error_reason = result.error_reason();
    outcome->error_message = result.error_message();
    return absl::OkStatus();
  }
  return TakeResults(result.results(), batch, outcome);
}

}  // namespace

absl::StatusOr<std::vector<ClassifyOutcome>> ClassifyFilesWithTasks(
    Session& session, const ClassifyOptions& options,
    const std::vector<TaskSelector>& tasks) {
  ASSIGN_OR_RETURN(const v1::Limits limits, GetLimits(session));
  std::vector<ClassifyOutcome> outcomes(tasks.size(),
                                        NoAnswers(options.images));
  const auto send = [&](const ImageBatch& batch) -> absl::Status {
    v1::MultiClassifyRequest request;
    request.set_no_cache(options.no_cache);
    request.set_priority(options.priority);
    for (const TaskSelector& task : tasks) {
      v1::TaskChoice* choice = request.add_tasks();
      SetSelector(task, choice);
      choice->set_top_k(options.top_k);
    }
    for (const std::string& image : batch.images) request.add_images(image);
    ASSIGN_OR_RETURN(
        const v1::MultiClassifyResponse response,
        session.api.Call(&v1::ClassifyService::Stub::MultiClassify, request));
    if (response.tasks_size() != static_cast<int>(tasks.size())) {
      return BadReply(response.tasks_size(), tasks.size(), "tasks");
    }
    for (size_t i = 0; i < tasks.size(); ++i) {
      RETURN_IF_ERROR(
          TakeTask(response.tasks(static_cast<int>(i)), batch, &outcomes[i]));
      KeepSlowest(response.timings(), &outcomes[i]);
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(SendImages(
      session, "classify", limits, options.images,
      [&](size_t file, const absl::Status& status) {
        for (ClassifyOutcome& outcome : outcomes) {
          SetError(status, &outcome.files[file]);
        }
      },
      send));
  for (ClassifyOutcome& outcome : outcomes) CountFailed(&outcome);
  return outcomes;
}

}  // namespace promptd::client
