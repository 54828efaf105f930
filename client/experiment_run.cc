#include "client/experiment_run.h"

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/interrupt.h"
#include "client/job_view.h"
#include "client/progress.h"
#include "client/text.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "experiments/estimate.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"

namespace promptd::client {
namespace {

using experiments::Held;
using experiments::Member;
using experiments::MemberResult;
using experiments::Plan;
using experiments::ResultFolder;
using experiments::Score;

// Jobs at once: enough that the worker never waits for us, few enough that
// others get their turn.
constexpr int kMaxJobs = 4;

// A member between its first job and its result.
struct Active {
  const Member* member = nullptr;
  MemberResult result;
  // What is asked for next: 0 the training, then the targets in order.
  size_t next = 0;
  std::map<size_t, v1::TrainingJob> jobs;  // unfinished ones, by the same

  size_t parts() const { return 1 + member->targets.size(); }
  bool complete() const { return next == parts() && jobs.empty(); }
  // The first target waits for the version that the training makes.
  bool may_submit() const {
    return next < parts() && (next == 0 || jobs.count(0) == 0);
  }
};

class Runner {
 public:
  Runner(Session& session, const Plan& plan, const Held& held,
         ResultFolder& folder, const ExperimentRunOptions& options)
      : session_(session),
        plan_(plan),
        held_(held),
        folder_(folder),
        options_(options),
        progress_(session.console, session.clock),
        began_(session.clock.Now()) {}

  absl::StatusOr<ExperimentRunOutcome> Run() {
    RETURN_IF_ERROR(ReadResults());
    RETURN_IF_ERROR(ReadLimits());
    const OnInterrupt hint([this] {
      session_.console.err()
          << "\nthe jobs that were submitted go on: run the same command "
             "again to go on with the experiment"
          << std::endl;
    });
    while (!TimeIsUp()) {
      RETURN_IF_ERROR(SubmitSome());
      if (active_.empty() && next_pending_ == pending_.size()) break;
      RETURN_IF_ERROR(Poll());
      RETURN_IF_ERROR(KeepComplete());
      ShowProgress();
      absl::SleepFor(options_.poll);
    }
    progress_.Finish();
    return Outcome();
  }

 private:
  absl::Status ReadResults() {
    std::map<std::string, std::string> fingerprints;
    for (const Member& member : plan_.members) {
      fingerprints[member.key] = experiments::Fingerprint(held_, member);
    }
    RETURN_IF_ERROR(folder_.WritePlan(plan_, fingerprints));
    int64_t others = 0;
    ASSIGN_OR_RETURN(results_, folder_.Read(fingerprints, &others));
    if (others > 0) {
      session_.console.Note(
          absl::StrCat(others, others == 1 ? " result is" : " results are",
                       " of other options, images or encoders: made again"));
    }
    fingerprints_ = std::move(fingerprints);
    for (const Member& member : plan_.members) {
      const auto known = results_.find(member.key);
      const bool again = known != results_.end() && options_.retry_failed &&
                         known->second.failed();
      if (known != results_.end() && !again) continue;
      pending_.push_back(&member);
      if (!again) continue;
      attempts_[member.key] = known->second.attempt + 1;
      results_.erase(known);  // here only: the file stays until there is better
    }
    outcome_.found = static_cast<int64_t>(plan_.members.size()) -
                     static_cast<int64_t>(pending_.size());
    return absl::OkStatus();
  }

  absl::Status ReadLimits() {
    ASSIGN_OR_RETURN(const v1::GetServerInfoResponse info,
                     Call(&v1::ServerService::Stub::GetServerInfo,
                          v1::GetServerInfoRequest()));
    max_jobs_ = std::clamp(info.limits().max_queued_jobs() / 2, 1, kMaxJobs);
    return absl::OkStatus();
  }

  // A call that waits for a server that is away.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request) {
    const absl::Time give_up = session_.clock.Now() + options_.patience;
    for (;;) {
      absl::StatusOr<Response> reply = session_.api.Call(method, request);
      const bool away = absl::IsUnavailable(reply.status()) ||
                        absl::IsDeadlineExceeded(reply.status());
      if (!away || session_.clock.Now() >= give_up) {
        return reply;
      }
      session_.console.Detail("the server is away: waiting for it");
      absl::SleepFor(options_.poll);
    }
  }

  bool TimeIsUp() const {
    return options_.budget && session_.clock.Now() - began_ >= *options_.budget;
  }

  int JobsAtWork() const {
    size_t jobs = 0;
    for (const Active& active : active_) jobs += active.jobs.size();
    return static_cast<int>(jobs);
  }

  // Fills the window: members that have begun go first.
  absl::Status SubmitSome() {
    for (Active& active : active_) {
      while (active.may_submit() && JobsAtWork() < max_jobs_) {
        ASSIGN_OR_RETURN(const bool room, Submit(active));
        if (!room) return absl::OkStatus();
      }
    }
    while (next_pending_ < pending_.size() && JobsAtWork() < max_jobs_) {
      Begin(*pending_[next_pending_]);
      ASSIGN_OR_RETURN(const bool room, Submit(active_.back()));
      if (!room) {
        active_.pop_back();
        return absl::OkStatus();
      }
      ++next_pending_;
    }
    return absl::OkStatus();
  }

  void Begin(const Member& member) {
    Active active;
    active.member = &member;
    active.result.key = member.key;
    active.result.fingerprint = fingerprints_.at(member.key);
    active.result.task = member.spec.task();
    active.result.spec = member.spec;
    const auto attempt = attempts_.find(member.key);
    if (attempt != attempts_.end()) active.result.attempt = attempt->second;
    active.result.scores.resize(active.parts());
    active.result.scores[0].dataset = member.dataset;
    for (size_t i = 0; i < member.targets.size(); ++i) {
      active.result.scores[i + 1].dataset = member.targets[i];
    }
    active_.push_back(std::move(active));
  }

  // Submits the next part; false when the server has too many jobs. A refusal
  // is the part's result.
  absl::StatusOr<bool> Submit(Active& active) {
    const size_t part = active.next;
    absl::StatusOr<v1::TrainingJob> job =
        part == 0 ? Train(active) : Evaluate(active, part);
    if (!job.ok() && ErrorReason(job.status()) == "TOO_MANY_JOBS") return false;
    RETURN_IF_ERROR(UnlessOfMember(job.status()));
    ++active.next;
    if (job.ok()) {
      if (part == 0) active.result.spec = job->spec();
      active.jobs[part] = *std::move(job);
    } else {
      Fail(active, part, ErrorReason(job.status()),
           std::string(job.status().message()));
    }
    return true;
  }

  // OK for what concerns one member only: its errors are results.
  static absl::Status UnlessOfMember(const absl::Status& status) {
    switch (status.code()) {
      case absl::StatusCode::kUnavailable:
      case absl::StatusCode::kUnauthenticated:
      case absl::StatusCode::kPermissionDenied:
      case absl::StatusCode::kDeadlineExceeded:
      case absl::StatusCode::kResourceExhausted:
        return status;
      default:
        return absl::OkStatus();
    }
  }

  absl::StatusOr<v1::TrainingJob> Train(const Active& active) {
    v1::CreateTrainingJobRequest request;
    *request.mutable_spec() = active.member->spec;
    request.set_request_id(experiments::TrainingRequestId(
        held_, *active.member, active.result.attempt));
    return Call(&v1::TrainingService::Stub::CreateTrainingJob, request);
  }

  absl::StatusOr<v1::TrainingJob> Evaluate(const Active& active, size_t part) {
    const std::string& target = active.member->targets[part - 1];
    v1::CreateEvaluationRequest request;
    v1::EvaluationSpec* spec = request.mutable_spec();
    spec->mutable_version()->set_task(active.result.task);
    spec->mutable_version()->set_version(active.result.version);
    spec->set_dataset(held_.datasets.at(target).name);
    request.set_request_id(experiments::EvaluationRequestId(
        held_, *active.member, target, active.result.attempt));
    return Call(&v1::PromptService::Stub::CreateEvaluation, request);
  }

  void Fail(Active& active, size_t part, const std::string& reason,
            const std::string& message) {
    Score& score = active.result.scores[part];
    score.reason = reason.empty() ? "JOB_FAILED" : reason;
    score.message = message;
    if (part > 0) return;
    // Without a version there is nothing to score on the targets.
    for (size_t i = 1; i < active.parts(); ++i) {
      active.result.scores[i].reason = "NOT_TRAINED";
      active.result.scores[i].message = "the training failed";
    }
    active.next = active.parts();
  }

  absl::Status Poll() {
    for (Active& active : active_) {
      std::vector<size_t> parts;
      for (const auto& [part, job] : active.jobs) parts.push_back(part);
      for (const size_t part : parts) {
        v1::GetTrainingJobRequest request;
        request.set_id(active.jobs[part].id());
        absl::StatusOr<v1::TrainingJob> job =
            Call(&v1::TrainingService::Stub::GetTrainingJob, request);
        RETURN_IF_ERROR(UnlessOfMember(job.status()));
        if (!job.ok()) {
          active.jobs.erase(part);
          Fail(active, part, ErrorReason(job.status()),
               std::string(job.status().message()));
        } else if (job->done()) {
          active.jobs.erase(part);
          Take(active, part, *job);
        } else {
          active.jobs[part] = *std::move(job);
        }
      }
    }
    return absl::OkStatus();
  }

  void Take(Active& active, size_t part, const v1::TrainingJob& job) {
    Score& score = active.result.scores[part];
    score.job_id = job.id();
    score.seconds = absl::ToDoubleSeconds(RunTime(job, session_.clock.Now()));
    if (job.state() == v1::JOB_STATE_SUCCEEDED) {
      score.result = job.result();
      if (part == 0) active.result.version = job.version();
    } else if (job.state() == v1::JOB_STATE_CANCELLED) {
      Fail(active, part, "JOB_CANCELLED",
           absl::StrCat("job ", job.id(), " was cancelled"));
    } else {
      Fail(active, part, job.error_reason(), job.error_message());
    }
  }

  absl::Status KeepComplete() {
    for (auto it = active_.begin(); it != active_.end();) {
      if (!it->complete()) {
        ++it;
        continue;
      }
      RETURN_IF_ERROR(folder_.Write(it->result));
      if (it->result.failed()) {
        progress_.Finish();
        session_.console.Warn(absl::StrCat(
            it->member->key, " failed: ", Printable(it->result.Failure())));
      }
      results_[it->member->key] = std::move(it->result);
      it = active_.erase(it);
    }
    return absl::OkStatus();
  }

  void ShowProgress() {
    const auto total = static_cast<double>(plan_.members.size());
    const auto done = static_cast<double>(results_.size());
    double parts = done;
    const Active* shown = nullptr;
    for (const Active& active : active_) {
      const double fraction = FractionOf(active);
      parts += fraction;
      if (shown == nullptr && fraction > 0) shown = &active;
    }
    if (shown == nullptr && !active_.empty()) shown = &active_.front();
    std::string detail = absl::StrFormat("%.0f/%.0f", done, total);
    if (shown != nullptr) {
      absl::StrAppend(&detail, "  ", shown->member->key);
      if (!shown->jobs.empty()) {
        const std::string state = ProgressText(shown->jobs.begin()->second);
        if (state != "-") absl::StrAppend(&detail, "  ", state);
      }
    }
    const auto left = experiments::EstimateLeft(plan_, results_);
    if (left) {
      absl::StrAppend(&detail, "  ", ShortDuration(*left), " left");
    }
    progress_.Update(plan_.experiment, parts / total, detail);
  }

  static double FractionOf(const Active& active) {
    double sum = static_cast<double>(active.next - active.jobs.size());
    for (const auto& [part, job] : active.jobs) {
      sum += job.progress().fraction();
    }
    return sum / static_cast<double>(active.parts());
  }

  ExperimentRunOutcome Outcome() const {
    ExperimentRunOutcome outcome = outcome_;
    for (const Member& member : plan_.members) {
      const auto result = results_.find(member.key);
      if (result == results_.end()) {
        ++outcome.left;
      } else if (result->second.failed()) {
        ++outcome.failed;
      } else {
        ++outcome.succeeded;
      }
    }
    outcome.going_on = JobsAtWork();
    return outcome;
  }

  Session& session_;
  const Plan& plan_;
  const Held& held_;
  ResultFolder& folder_;
  const ExperimentRunOptions& options_;
  Progress progress_;
  const absl::Time began_;
  int max_jobs_ = 1;
  std::map<std::string, std::string> fingerprints_;
  std::map<std::string, MemberResult> results_;
  std::map<std::string, int> attempts_;  // of members that are tried again
  std::vector<const Member*> pending_;
  size_t next_pending_ = 0;
  std::list<Active> active_;
  ExperimentRunOutcome outcome_;
};

}  // namespace

absl::StatusOr<ExperimentRunOutcome> RunExperiment(
    Session& session, const experiments::Plan& plan,
    const experiments::Held& held, experiments::ResultFolder& folder,
    const ExperimentRunOptions& options) {
  return Runner(session, plan, held, folder, options).Run();
}

}  // namespace promptd::client
