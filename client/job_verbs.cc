// promptctl job list|show|watch|cancel|pause|resume; retry, logs and
// checkpoints stand in job_care_verbs.cc
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/job_view.h"
#include "client/paging.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "client/train.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/training.grpc.pb.h"

namespace promptd::client {
namespace {

struct ListFlags {
  std::string task;
  int limit = 20;
};

absl::Status List(Session& session, const ListFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<v1::TrainingJob> jobs,
                   AllPages<v1::TrainingJob>(
                       [&](const std::string& token) {
                         v1::ListTrainingJobsRequest request;
                         request.set_task(flags.task);
                         request.set_page_token(token);
                         return session.api.Call(
                             &v1::TrainingService::Stub::ListTrainingJobs,
                             request);
                       },
                       [](const auto& reply) -> auto& { return reply.jobs(); },
                       static_cast<size_t>(flags.limit)));
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const v1::TrainingJob& job : jobs) json.push_back(ToJson(job));
    session.console.Json(json);
  } else {
    session.console.out() << JobTable(jobs, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status Show(Session& session, int64_t id) {
  v1::GetTrainingJobRequest request;
  request.set_id(id);
  ASSIGN_OR_RETURN(
      const v1::TrainingJob job,
      session.api.Call(&v1::TrainingService::Stub::GetTrainingJob, request));
  if (session.console.json()) {
    session.console.Json(ToJson(job));
  } else {
    session.console.out() << JobText(job, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status Watch(Session& session, int64_t id) {
  const OnInterrupt hint = SayThatJobGoesOn(session.console, id);
  if (session.console.json()) {
    ASSIGN_OR_RETURN(const v1::TrainingJob job,
                     FollowJob(session, id, [&](const v1::JobEvent& event) {
                       session.console.Json(ToJson(event));
                     }));
    return JobOutcome(job);
  }
  ASSIGN_OR_RETURN(const v1::TrainingJob job,
                   FollowJobWithProgress(session, id));
  RETURN_IF_ERROR(JobOutcome(job));
  session.console.out() << FinishedLine(job, session.clock.Now()) << "\n";
  return absl::OkStatus();
}

// One call that changes a job, and its row afterwards.
template <typename Request>
absl::Status Change(Session& session, const Request& request,
                    grpc::Status (v1::TrainingService::Stub::*method)(
                        grpc::ClientContext*, const Request&,
                        v1::TrainingJob*)) {
  ASSIGN_OR_RETURN(const v1::TrainingJob job,
                   session.api.Call(method, request));
  if (session.console.json()) {
    session.console.Json(ToJson(job));
  } else {
    session.console.out() << JobTable({job}, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status Pause(Session& session, int64_t id) {
  v1::PauseTrainingJobRequest request;
  request.set_id(id);
  return Change(session, request, &v1::TrainingService::Stub::PauseTrainingJob);
}

absl::Status Resume(Session& session, int64_t id) {
  v1::ResumeTrainingJobRequest request;
  request.set_id(id);
  return Change(session, request,
                &v1::TrainingService::Stub::ResumeTrainingJob);
}

void AddCancel(CLI::App* noun, Action* chosen) {
  CLI::App* cancel =
      noun->add_subcommand("cancel", "Stop a job at its next step");
  auto request = std::make_shared<v1::CancelTrainingJobRequest>();
  cancel
      ->add_option_function<int64_t>(
          "id", [request](int64_t id) { request->set_id(id); },
          "The job's number")
      ->required()
      ->check(CLI::PositiveNumber);
  cancel->add_flag_callback(
      "--after-checkpoint", [request] { request->set_after_checkpoint(true); },
      "A running job saves its state first: `job retry` goes on from there");
  cancel->footer(
      "Examples:\n  promptctl job cancel 42\n"
      "  promptctl job cancel 42 --after-checkpoint");
  cancel->callback([chosen, request] {
    *chosen = [request](Session& session) {
      return Change(session, *request,
                    &v1::TrainingService::Stub::CancelTrainingJob);
    };
  });
}

void AddNumbered(CLI::App* noun, const char* verb, const char* description,
                 absl::Status (*run)(Session&, int64_t), Action* chosen) {
  CLI::App* app = noun->add_subcommand(verb, description);
  auto id = std::make_shared<int64_t>(0);
  app->add_option("id", *id, "The job's number")
      ->required()
      ->check(CLI::PositiveNumber);
  app->footer(absl::StrCat("Example:\n  promptctl job ", verb, " 42"));
  app->callback([chosen, id, run] {
    *chosen = [id, run](Session& session) { return run(session, *id); };
  });
}

}  // namespace

void AddJobVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "job", "Training jobs");
  CLI::App* list = noun->add_subcommand("list", "Jobs, newest first");
  auto flags = std::make_shared<ListFlags>();
  list->add_option("--task,-t", flags->task, "Only this task's jobs");
  list->add_option("--limit", flags->limit, "At most this many; 0: all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  list->footer("Example:\n  promptctl job list --task pets");
  list->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return List(session, *flags); };
  });
  AddNumbered(noun, "show", "One job: settings, progress, result", Show,
              chosen);
  AddNumbered(noun, "watch",
              "Follow a job from its first event (one JSON object an event "
              "with -o json)",
              Watch, chosen);
  AddCancel(noun, chosen);
  AddNumbered(noun, "pause",
              "Keep a job where it is: it frees its worker at its next step",
              Pause, chosen);
  AddNumbered(noun, "resume", "Go on with a paused job, bit by bit the same",
              Resume, chosen);
  AddJobCare(noun, chosen);
}

}  // namespace promptd::client
