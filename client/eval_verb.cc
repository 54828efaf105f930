// promptctl eval VERSION DATASET|DIR, evaluation list|show
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/job_view.h"
#include "client/paging.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/text.h"
#include "client/train.h"
#include "client/verbs.h"
#include "common/id.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/training.pb.h"

namespace promptd::client {
namespace {

struct EvalFlags {
  std::string version;
  std::string dataset;
  std::string split;
  std::string class_subset;
  std::vector<std::string> templates;
  std::string request_id;  // empty: a fresh one
  bool no_wait = false;
};

absl::StatusOr<v1::TrainingJob> Submit(Session& session,
                                       const EvalFlags& flags) {
  v1::CreateEvaluationRequest request;
  v1::EvaluationSpec* spec = request.mutable_spec();
  ASSIGN_OR_RETURN(const TaskSelector version,
                   ParseTaskSelector(flags.version));
  SetSelector(version, spec->mutable_version());
  ASSIGN_OR_RETURN(const DatasetArgument dataset,
                   PushIfFolder(session, flags.dataset));
  spec->set_dataset(dataset.name);
  spec->set_split(flags.split);
  spec->set_class_subset(
      ToApi<ClassSubset, v1::ClassSubset>(flags.class_subset));
  for (const std::string& text : flags.templates) spec->add_templates(text);
  request.set_request_id(flags.request_id.empty() ? NewUuid()
                                                  : flags.request_id);
  return session.api.Call(&v1::PromptService::Stub::CreateEvaluation, request);
}

absl::Status Eval(Session& session, const EvalFlags& flags) {
  ASSIGN_OR_RETURN(v1::TrainingJob job, Submit(session, flags));
  if (flags.no_wait) {
    PrintSubmitted(session, job);
    return absl::OkStatus();
  }
  const OnInterrupt hint = SayThatJobGoesOn(session.console, job.id());
  ASSIGN_OR_RETURN(job, FollowJobWithProgress(session, job.id()));
  if (session.console.json()) {
    session.console.Json(ToJson(job));
  } else if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    session.console.out() << FinishedLine(job, session.clock.Now()) << "\n"
                          << EvaluationText(job.result());
    session.console.Note(absl::StrCat("\nnext     promptctl evaluation show ",
                                      job.id(), " --confusion"));
  }
  return JobOutcome(job);
}

std::string Where(const v1::StoredEvaluation& evaluation) {
  return absl::StrCat(evaluation.task(), ":", evaluation.version());
}

absl::Status List(Session& session, const std::string& text) {
  ASSIGN_OR_RETURN(const TaskSelector selector, ParseTaskSelector(text));
  if (!selector.alias.empty()) {
    return UsageError(absl::StrCat("\"", text,
                                   "\" names an alias: evaluations "
                                   "are of a task (",
                                   selector.task, ") or of one version (",
                                   selector.task, ":1)"));
  }
  ASSIGN_OR_RETURN(
      const std::vector<v1::StoredEvaluation> evaluations,
      AllPages<v1::StoredEvaluation>(
          [&](const std::string& token) {
            v1::ListEvaluationsRequest request;
            request.set_task(selector.task);
            request.set_version(selector.version);
            request.set_page_token(token);
            return session.api.Call(&v1::PromptService::Stub::ListEvaluations,
                                    request);
          },
          [](const auto& reply) -> auto& { return reply.evaluations(); }));
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const auto& item : evaluations) json.push_back(ToJson(item));
    session.console.Json(json);
    return absl::OkStatus();
  }
  Table table({"ID", "VERSION", "DATASET", "SPLIT", "IMAGES", "ACCURACY",
               "ZERO-SHOT", "GAIN", "MACRO-F1", "ECE", "CREATED"});
  for (const v1::StoredEvaluation& item : evaluations) {
    const v1::Evaluation& result = item.result();
    table.Add({absl::StrCat(item.id()), Where(item), item.dataset(),
               result.split(), absl::StrCat(result.images()),
               Percent(result.accuracy()), Percent(result.zero_shot_accuracy()),
               Points(result.accuracy() - result.zero_shot_accuracy()),
               Percent(result.macro_f1()), Percent(result.ece()),
               Ago(ToTime(item.create_time()), session.clock.Now())});
  }
  session.console.out() << table.ToString();
  return absl::OkStatus();
}

// One row a class: what its images were taken for, most often first.
std::string ConfusionText(const v1::Evaluation& evaluation) {
  std::map<int, std::multimap<int64_t, std::string, std::greater<>>> answers;
  for (const auto& count : evaluation.confusion()) {
    if (count.answer() >= evaluation.classes_size()) continue;
    answers[count.label()].emplace(
        count.images(),
        absl::StrCat(evaluation.classes(count.answer()).class_name(), " ",
                     count.images()));
  }
  Table table({"CLASS", "ANSWERED AS"});
  for (const auto& [label, counts] : answers) {
    if (label >= evaluation.classes_size()) continue;
    table.Add(
        {evaluation.classes(label).class_name(),
         absl::StrJoin(counts, ", ", [](std::string* out, const auto& count) {
           out->append(count.second);
         })});
  }
  return table.ToString();
}

struct ShowFlags {
  int64_t id = 0;
  bool confusion = false;
};

absl::Status Show(Session& session, const ShowFlags& flags) {
  v1::GetEvaluationRequest request;
  request.set_id(flags.id);
  ASSIGN_OR_RETURN(
      const v1::StoredEvaluation evaluation,
      session.api.Call(&v1::PromptService::Stub::GetEvaluation, request));
  if (session.console.json()) {
    session.console.Json(ToJson(evaluation));
    return absl::OkStatus();
  }
  const v1::Evaluation& result = evaluation.result();
  session.console.out()
      << KeyValues({{"evaluation", absl::StrCat(evaluation.id())},
                    {"version", Where(evaluation)},
                    {"dataset",
                     absl::StrCat(evaluation.dataset(), "  ",
                                  ShortDigest(evaluation.dataset_digest()))},
                    {"result", ResultText(result)},
                    {"created", Ago(ToTime(evaluation.create_time()),
                                    session.clock.Now())}})
      << EvaluationText(result);
  if (flags.confusion) session.console.out() << "\n" << ConfusionText(result);
  return absl::OkStatus();
}

}  // namespace

void AddEvalVerb(CLI::App& app, Action* chosen) {
  CLI::App* eval = app.add_subcommand(
      "eval", "Score a version on a dataset, zero-shot beside it");
  auto flags = std::make_shared<EvalFlags>();
  eval->add_option("version", flags->version,
                   "TASK, TASK@ALIAS or TASK:VERSION")
      ->required();
  eval->add_option("dataset", flags->dataset,
                   "A pushed dataset, or a folder that is pushed first; its "
                   "classes must be among the task's")
      ->required();
  eval->add_option("--split", flags->split,
                   "test or val (default test, val without test images)")
      ->check(CLI::IsMember({"test", "val"}));
  eval->add_option("--classes", flags->class_subset,
                   "all, base (the first half) or new (the rest) of the "
                   "dataset's classes (default: those the version was trained "
                   "on where it is the same dataset, else all)")
      ->check(CLI::IsMember({"all", "base", "new"}));
  eval->add_option("--template", flags->templates,
                   "Zero-shot baseline with one \"{}\"; repeat for several "
                   "(default: seven that come with promptd)");
  eval->add_flag("--no-wait", flags->no_wait, "Return once the job is queued");
  eval->add_option("--request-id", flags->request_id,
                   "Repeating a call with the same id makes one job only");
  eval->footer(
      "The result is kept: `promptctl evaluation list TASK`. Where the dataset "
      "has only some of the\ntask's classes, only those compete.\n\n"
      "Examples:\n  promptctl eval pets:3 pet-sketches\n"
      "  promptctl eval pets@beta ./new-photos --split val\n"
      "  promptctl eval pets:3 pets -o json");
  eval->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Eval(session, *flags); };
  });
}

void AddEvaluationVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "evaluation", "Stored results of versions");
  CLI::App* list = noun->add_subcommand(
      "list", "A task's evaluations, or one version's, newest first");
  auto task = std::make_shared<std::string>();
  list->add_option("task", *task, "TASK or TASK:VERSION")->required();
  list->footer("Example:\n  promptctl evaluation list pets:3");
  list->callback([chosen, task] {
    *chosen = [task](Session& session) { return List(session, *task); };
  });
  CLI::App* show = noun->add_subcommand(
      "show", "One evaluation: per class, per template, confusion");
  auto flags = std::make_shared<ShowFlags>();
  show->add_option("id", flags->id, "Its number")
      ->required()
      ->check(CLI::PositiveNumber);
  show->add_flag("--confusion", flags->confusion,
                 "What each class's images were taken for");
  show->footer("Example:\n  promptctl evaluation show 42 --confusion");
  show->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Show(session, *flags); };
  });
}

}  // namespace promptd::client
