// promptctl job retry, job logs, job checkpoints
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/job_view.h"
#include "client/proto_json.h"
#include "client/train.h"
#include "client/verbs.h"
#include "common/id.h"
#include "common/status_macros.h"
#include "promptd/v1/training.grpc.pb.h"

namespace promptd::client {
namespace {

struct RetryFlags {
  int64_t id = 0;
  bool from_start = false;
};

absl::Status Retry(Session& session, const RetryFlags& flags) {
  v1::RetryTrainingJobRequest request;
  request.set_id(flags.id);
  request.set_request_id(NewUuid());
  request.set_from_start(flags.from_start);
  ASSIGN_OR_RETURN(
      const v1::TrainingJob job,
      session.api.Call(&v1::TrainingService::Stub::RetryTrainingJob, request));
  PrintSubmitted(session, job);
  return absl::OkStatus();
}

struct LogFlags {
  int64_t id = 0;
  int64_t from = 1;
  bool follow = false;
};

void PrintEvent(Console& console, const v1::JobEvent& event) {
  if (console.json()) {
    console.Json(ToJson(event));
  } else {
    console.out() << EventLine(event) << "\n";
  }
}

// The events that there are now.
absl::Status ReadLog(Session& session, const LogFlags& flags) {
  v1::GetTrainingJobRequest get;
  get.set_id(flags.id);
  ASSIGN_OR_RETURN(
      const v1::TrainingJob job,
      session.api.Call(&v1::TrainingService::Stub::GetTrainingJob, get));
  if (flags.from > job.last_sequence()) return absl::OkStatus();
  v1::WatchTrainingJobRequest request;
  request.set_id(flags.id);
  request.set_from_sequence(flags.from);
  const auto context = session.api.UnaryContext();
  const auto stream = v1::TrainingService::Stub(session.api.channel())
                          .WatchTrainingJob(context.get(), request);
  v1::JobEvent event;
  while (stream->Read(&event)) {
    PrintEvent(session.console, event);
    if (event.sequence() < job.last_sequence()) continue;
    context->TryCancel();  // later ones are not asked for
    while (stream->Read(&event)) {
    }
    stream->Finish().error_code();
    return absl::OkStatus();
  }
  const grpc::Status status = stream->Finish();
  return status.ok() ? absl::OkStatus() : session.api.Error(status);
}

absl::Status Logs(Session& session, const LogFlags& flags) {
  if (!flags.follow) return ReadLog(session, flags);
  const OnInterrupt hint = SayThatJobGoesOn(session.console, flags.id);
  ASSIGN_OR_RETURN(const v1::TrainingJob job,
                   FollowJob(session, flags.id, [&](const v1::JobEvent& event) {
                     if (event.sequence() >= flags.from) {
                       PrintEvent(session.console, event);
                     }
                   }));
  return JobOutcome(job);
}

absl::Status Checkpoints(Session& session, int64_t id) {
  v1::ListCheckpointsRequest request;
  request.set_id(id);
  ASSIGN_OR_RETURN(
      const v1::ListCheckpointsResponse reply,
      session.api.Call(&v1::TrainingService::Stub::ListCheckpoints, request));
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const v1::Checkpoint& checkpoint : reply.checkpoints()) {
      json.push_back(ToJson(checkpoint));
    }
    session.console.Json(json);
  } else {
    session.console.out() << CheckpointTable(reply, session.clock.Now());
  }
  return absl::OkStatus();
}

void AddRetry(CLI::App* noun, Action* chosen) {
  CLI::App* retry = noun->add_subcommand(
      "retry", "A new job that does what a failed or cancelled one did");
  auto again = std::make_shared<RetryFlags>();
  retry->add_option("id", again->id, "The job's number")
      ->required()
      ->check(CLI::PositiveNumber);
  retry->add_flag("--from-start", again->from_start,
                  "Leave its last checkpoint aside");
  retry->footer("Example:\n  promptctl job retry 42");
  retry->callback([chosen, again] {
    *chosen = [again](Session& session) { return Retry(session, *again); };
  });
}

void AddLogs(CLI::App* noun, Action* chosen) {
  CLI::App* logs = noun->add_subcommand(
      "logs",
      "A job's events as text, one a line (one JSON object with "
      "-o json)");
  auto flags = std::make_shared<LogFlags>();
  logs->add_option("id", flags->id, "The job's number")
      ->required()
      ->check(CLI::PositiveNumber);
  logs->add_option("--from", flags->from, "First event to show")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  logs->add_flag("--follow,-f", flags->follow, "Go on until the job ends");
  logs->footer(
      "Examples:\n  promptctl job logs 42\n  promptctl job logs 42 --from 100 "
      "--follow");
  logs->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Logs(session, *flags); };
  });
}

void AddCheckpoints(CLI::App* noun, Action* chosen) {
  CLI::App* checkpoints = noun->add_subcommand(
      "checkpoints", "The checkpoints of a job that are stored, newest first");
  auto id = std::make_shared<int64_t>(0);
  checkpoints->add_option("id", *id, "The job's number")
      ->required()
      ->check(CLI::PositiveNumber);
  checkpoints->footer(
      "A job keeps its last five until it succeeds, or for a week after it "
      "failed or was\ncancelled. `promptctl train DATASET --init-checkpoint "
      "JOB:NUMBER` starts from one;\nwith --epochs 0 it makes it a version as "
      "it is.\n\n"
      "Examples:\n  promptctl job checkpoints 42\n"
      "  promptctl train pets --init-checkpoint 42:3 --epochs 0 --wait");
  checkpoints->callback([chosen, id] {
    *chosen = [id](Session& session) { return Checkpoints(session, *id); };
  });
}

}  // namespace

void AddJobCare(CLI::App* noun, Action* chosen) {
  AddRetry(noun, chosen);
  AddLogs(noun, chosen);
  AddCheckpoints(noun, chosen);
}

}  // namespace promptd::client
