// promptctl experiment list|run|report
#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/bundle.h"
#include "client/error_report.h"
#include "client/experiment_inputs.h"
#include "client/experiment_run.h"
#include "client/table.h"
#include "client/text.h"
#include "client/train.h"
#include "client/verbs.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "experiments/benchmark.h"
#include "experiments/plan.h"
#include "experiments/report.h"
#include "experiments/resolve.h"
#include "experiments/result.h"

namespace promptd::client {
namespace {

using experiments::Benchmark;
using experiments::Held;
using experiments::Plan;
using experiments::ResultFolder;
using experiments::Study;

struct ExperimentFlags {
  std::string name;
  std::string benchmark;  // empty: the bundled one
  std::string out;        // empty: experiments/NAME
  experiments::PlanOptions plan;
  std::optional<double> minutes;
  std::string views;
  bool retry_failed = false;
  bool dry_run = false;
};

std::string FolderOf(const ExperimentFlags& flags) {
  return flags.out.empty() ? absl::StrCat("experiments/", flags.name)
                           : flags.out;
}

absl::Status List(Session& session) {
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const auto& info : experiments::Experiments()) {
      json.push_back({{"name", info.name}, {"summary", info.summary}});
    }
    session.console.Json(json);
    return absl::OkStatus();
  }
  Table table({"EXPERIMENT", "COMPARES"});
  for (const auto& info : experiments::Experiments()) {
    table.Add({info.name, info.summary});
  }
  session.console.out() << table.ToString();
  session.console.Note("next     promptctl experiment run few-shot --dry-run");
  return absl::OkStatus();
}

// A benchmark's errors with its file on top.
absl::Status OfFile(const absl::Status& status, const std::string& file) {
  if (ErrorReason(status) != "BAD_BENCHMARK") return status;
  return WithWhat(status, absl::StrCat("cannot run on ", file));
}

absl::StatusOr<Benchmark> FindBenchmark(const ExperimentFlags& flags) {
  std::string file = flags.benchmark;
  if (file.empty()) {
    ASSIGN_OR_RETURN(const std::string models, FindModels());
    file = absl::StrCat(models, "/benchmark.json");
  }
  absl::StatusOr<Benchmark> benchmark = experiments::ReadBenchmark(file);
  if (!benchmark.ok()) return OfFile(benchmark.status(), file);
  return benchmark;
}

absl::Status PrintPlan(Session& session, const Plan& plan) {
  if (session.console.json()) {
    nlohmann::json json = experiments::ToJson(plan);
    json["jobs"] = plan.JobCount();
    session.console.Json(json);
    return absl::OkStatus();
  }
  Table table({"DATASET", "ENCODER", "METHOD", "SHOTS", "SEED", "TARGETS"});
  for (const experiments::Member& member : plan.members) {
    table.Add({member.dataset, member.encoder,
               plan.FindMethod(member.method)->label,
               member.shots > 0 ? absl::StrCat(member.shots) : "-",
               member.seed > 0 ? absl::StrCat(member.seed) : "-",
               absl::StrCat(member.targets.size())});
  }
  session.console.out() << table.ToString();
  session.console.Note(absl::StrCat(plan.members.size(), " members, ",
                                    plan.JobCount(), " jobs"));
  return absl::OkStatus();
}

// Results of two experiments in one folder would be neither's.
absl::Status CheckFolder(const ExperimentFlags& flags) {
  const auto stored = ResultFolder(FolderOf(flags)).ReadPlan();
  if (absl::IsNotFound(stored.status())) return absl::OkStatus();
  RETURN_IF_ERROR(stored.status());
  if (stored->plan.experiment == flags.name) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "OTHER_EXPERIMENT",
                   absl::StrCat(FolderOf(flags), " holds the results of ",
                                stored->plan.experiment,
                                ": choose another folder with --out"));
}

// Tables and plots of what there is, and where they are.
absl::StatusOr<Study> Report(Session& session, const ResultFolder& folder) {
  ASSIGN_OR_RETURN(Study study, experiments::ReadStudy(folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> files,
                   experiments::WriteReport(study, folder));
  const size_t missing = study.Missing().size();
  const size_t members = study.plan().members.size();
  if (session.console.json()) {
    session.console.Json(
        {{"experiment", study.plan().experiment},
         {"folder", folder.path()},
         {"members", members},
         {"succeeded", members - missing - study.Failed().size()},
         {"failed", study.Failed().size()},
         {"missing", missing},
         {"files", files}});
    return study;
  }
  session.console.out() << study.plan().experiment << "  " << members - missing
                        << " of " << members << " members, "
                        << study.Failed().size() << " failed\n";
  for (const std::string& file : files) {
    session.console.out() << "  " << folder.path() << "/" << file << "\n";
  }
  return study;
}

std::string GoOn(const ExperimentRunOutcome& outcome) {
  return absl::StrCat(
      outcome.left, " of the members are left",
      outcome.going_on > 0
          ? absl::StrCat(" and ", outcome.going_on, " jobs go on")
          : "",
      ": run the same command again to go on");
}

absl::Status Judge(const ExperimentRunOutcome& outcome,
                   const std::string& folder) {
  if (outcome.left > 0) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, "TIME_IS_UP",
                     absl::StrCat("the time is up, ", GoOn(outcome)));
  }
  if (outcome.failed > 0) {
    return MakeError(
        absl::StatusCode::kAborted, "MEMBERS_FAILED",
        absl::StrCat(outcome.failed, " members failed: their reasons stand in ",
                     folder, "/tables.md; `--retry-failed` tries them again"));
  }
  return absl::OkStatus();
}

absl::Status Run(Session& session, const ExperimentFlags& flags) {
  ASSIGN_OR_RETURN(const Benchmark benchmark, FindBenchmark(flags));
  experiments::PlanOptions choices = flags.plan;
  choices.views = ViewsOf(flags.views);
  ASSIGN_OR_RETURN(Plan plan,
                   experiments::MakePlan(flags.name, benchmark, choices));
  if (flags.dry_run) return PrintPlan(session, plan);
  RETURN_IF_ERROR(CheckFolder(flags));
  const absl::StatusOr<Held> held = HoldInputs(session, benchmark, plan);
  if (!held.ok()) return OfFile(held.status(), benchmark.file);
  experiments::Resolve(*held, &plan);
  session.console.Note(absl::StrCat(flags.name, "  ", plan.members.size(),
                                    " members, ", plan.JobCount(),
                                    " jobs, results in ", FolderOf(flags)));
  ResultFolder folder(FolderOf(flags));
  ExperimentRunOptions options;
  if (flags.minutes) options.budget = absl::Minutes(*flags.minutes);
  options.retry_failed = flags.retry_failed;
  const absl::StatusOr<ExperimentRunOutcome> outcome =
      RunExperiment(session, plan, *held, folder, options);
  if (!outcome.ok()) {
    session.console.Note(
        "what is done is kept: run the same command again to go on");
    return outcome.status();
  }
  if (outcome->found > 0) {
    session.console.Note(
        absl::StrCat(outcome->found, " members had a result already"));
  }
  RETURN_IF_ERROR(Report(session, folder).status());
  return Judge(*outcome, folder.path());
}

void AddFolder(CLI::App* verb, ExperimentFlags* flags) {
  verb->add_option("name", flags->name, "The experiment")->required();
  verb->add_option("--out", flags->out,
                   "Folder of its results (default experiments/NAME)");
}

void AddPlanOptions(CLI::App* run, ExperimentFlags* flags) {
  experiments::PlanOptions& plan = flags->plan;
  run->add_option("--benchmark", flags->benchmark,
                  "Datasets and encoders: a JSON file (default: promptd's "
                  "bundled one)");
  run->add_option("--tasks", plan.tasks,
                  "Only these of the benchmark's tasks, e.g. food,travel")
      ->delimiter(',');
  run->add_flag("--all-tasks", plan.all_tasks,
                "Every task, where the experiment takes the few of "
                "variant_tasks")
      ->excludes("--tasks");
  run->add_option("--encoders", plan.encoders,
                  "These of the benchmark's encoders (default: the first; "
                  "domain-generalization and backbones: all)")
      ->delimiter(',');
  run->add_option("--seeds", plan.seeds, "Seeds (default 1,2,3)")
      ->delimiter(',');
  run->add_option("--shots", plan.shots,
                  "Images per class (default few-shot: 1,2,4,8,16; others: "
                  "16)")
      ->delimiter(',');
  run->add_flag("--variants", plan.variants,
                "few-shot: CoOp with class-specific contexts and with the "
                "class name in the middle too, on the variant_tasks");
  run->add_option("--epochs", plan.epochs,
                  "Passes over the shots (default: the paper's, by shots)");
  run->add_option("--views", flags->views,
                  "Views of each training image, as in `promptctl train`: 1, "
                  "K, or epochs for a fresh one each epoch, the paper's "
                  "recipe (default 1)")
      ->check([](const std::string& text) {
        return ViewsOf(text) ? std::string()
                             : "give 1, a number of views, or epochs";
      });
}

void AddRun(CLI::App* noun, Action* chosen) {
  CLI::App* run = noun->add_subcommand(
      "run", "Run an experiment, or go on with it; then report");
  auto flags = std::make_shared<ExperimentFlags>();
  AddFolder(run, flags.get());
  AddPlanOptions(run, flags.get());
  run->add_option("--minutes", flags->minutes,
                  "Stop after so many; the same command goes on later")
      ->check(CLI::PositiveNumber);
  run->add_flag("--retry-failed", flags->retry_failed,
                "Try members again that failed");
  run->add_flag("--dry-run", flags->dry_run,
                "Print what would be run; needs no server");
  run->footer(
      "Every member is a job with an id of its own: whatever is killed, the "
      "same command finds\nwhat is done and goes on. Exit codes: 0 all "
      "members succeeded, 1 some failed, 7 --minutes\nended first.\n\n"
      "Examples:\n  promptctl experiment run few-shot\n"
      "  promptctl experiment run few-shot --tasks food --shots 1,16 --seeds "
      "1 --minutes 10\n"
      "  promptctl experiment run backbones --benchmark mine.json --dry-run");
  run->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Run(session, *flags); };
  });
}

void AddReport(CLI::App* noun, Action* chosen) {
  CLI::App* report = noun->add_subcommand(
      "report", "Make tables and plots of stored results; needs no server");
  auto flags = std::make_shared<ExperimentFlags>();
  AddFolder(report, flags.get());
  report->footer("Example:\n  promptctl experiment report few-shot");
  report->callback([chosen, flags] {
    *chosen = [flags](Session& session) {
      RETURN_IF_ERROR(CheckFolder(*flags));
      return Report(session, ResultFolder(FolderOf(*flags))).status();
    };
  });
}

}  // namespace

void AddExperimentVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun =
      AddNoun(app, "experiment", "The CoOp paper's experiments, resumable");
  CLI::App* list = noun->add_subcommand("list", "The experiments there are");
  list->footer("Example:\n  promptctl experiment list");
  list->callback(
      [chosen] { *chosen = [](Session& session) { return List(session); }; });
  AddRun(noun, chosen);
  AddReport(noun, chosen);
}

}  // namespace promptd::client
