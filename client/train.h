// Training jobs: submit one, follow one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/interrupt.h"
#include "client/selector.h"
#include "client/session.h"
#include "common/training_options.h"
#include "promptd/v1/training.pb.h"

namespace promptd::client {

// Unset means the server's documented default.
struct TrainOptions {
  std::string dataset;  // name of a dataset, or a folder that is pushed first
  std::string task;     // empty: the dataset's name
  std::string encoder;
  std::string method;
  std::string init;
  std::optional<int> shots;
  std::optional<int> context_tokens;
  std::string class_position;  // "end", "middle", "front"; empty: end
  bool class_specific = false;
  std::string class_subset;  // "all", "base", "new"; empty: all
  std::optional<TaskSelector> initial_version;
  std::optional<CheckpointSelector> initial_checkpoint;
  std::string context_digest;            // of an uploaded context to start from
  std::vector<std::string> class_names;  // instead of a dataset, 0 epochs only
  std::optional<int> epochs;
  std::optional<int> views;  // 0: a fresh one each epoch
  std::string selection;     // "last_step", "best_validation"; empty: last step
  std::optional<int> batch_size;
  std::optional<double> learning_rate;
  std::optional<int64_t> seed;
  std::vector<std::string> templates;
  std::vector<std::string> text_templates;       // that the method starts from
  std::optional<double> inverse_regularization;  // C of a linear probe
  std::string request_id;                        // empty: a fresh one
  std::string priority;  // "interactive", "normal", "batch"; empty: normal
  bool fresh = false;    // compute it even if a finished job did the same
  bool validate_only = false;  // check and estimate, make no job
};

// The specification that `options` ask for; `dataset` is already a name. The
// choices must be among ChoiceNames (common/training_options.h).
v1::TrainingSpec SpecOf(const TrainOptions& options);

// The API's enumerator of a choice's name; "unspecified" for an empty one.
template <typename Choice, typename ApiEnum>
ApiEnum ToApi(const std::string& name) {
  const std::optional<Choice> choice = ChoiceFromName<Choice>(name);
  return static_cast<ApiEnum>(choice ? static_cast<int>(*choice) + 1 : 0);
}

// "1", "8" or "epochs" as TrainingSpec.views; nothing for other texts.
std::optional<int> ViewsOf(const std::string& text);

// The API's enumerator of "interactive", "normal" or "batch"; "unspecified" for
// an empty name.
v1::JobPriority PriorityOf(const std::string& name);

struct DatasetArgument {
  std::string name;      // on the server
  bool bundled = false;  // one of promptd's own
};

// What a command line calls a dataset: a name, or a folder, which is pushed.
absl::StatusOr<DatasetArgument> PushIfFolder(Session& session,
                                             const std::string& dataset);

// Pushes `dataset` when it is a folder, then creates the job.
absl::StatusOr<v1::TrainingJob> SubmitJob(Session& session,
                                          TrainOptions options);

// Called for every event of a job.
using EventObserver = std::function<void(const v1::JobEvent&)>;

// Follows the job's events from the first one until it ends, through short
// losses of the server (up to half a minute each), and returns the job as it
// ended. Errors of the server; a failed or cancelled job is not an error here.
absl::StatusOr<v1::TrainingJob> FollowJob(Session& session, int64_t id,
                                          const EventObserver& observer);

// The same with a progress line on the message stream.
absl::StatusOr<v1::TrainingJob> FollowJobWithProgress(Session& session,
                                                      int64_t id);

// A job that goes on alone: its row, and how to follow it.
void PrintSubmitted(Session& session, const v1::TrainingJob& job);

// The result of a finished job and what to do with it, on the result stream.
void PrintFinished(Session& session, const v1::TrainingJob& job);

// Submits a job of 0 epochs, follows it and prints its result. Errors of
// SubmitJob, FollowJob and JobOutcome.
absl::Status ApplyContext(Session& session, TrainOptions options);

// While the result lives, Ctrl-C tells how to get back to the job.
OnInterrupt SayThatJobGoesOn(Console& console, int64_t id);

// Not OK when the finished job failed (its reason) or was cancelled
// (JOB_CANCELLED).
absl::Status JobOutcome(const v1::TrainingJob& job);

// Says that `encoder` is only a demonstration when it is one; for jobs on the
// user's own data.
void WarnAboutDemonstration(Session& session, const std::string& encoder);

}  // namespace promptd::client
