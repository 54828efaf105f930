// promptctl train DATASET|DIR
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/context_import.h"
#include "client/job_view.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/template_set.h"
#include "client/text.h"
#include "client/train.h"
#include "client/verbs.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "promptd/v1/training.pb.h"

namespace promptd::client {
namespace {

struct TrainFlags {
  TrainOptions job;
  std::string views;
  std::string select;
  std::string from;
  std::string from_file;
  std::string init_checkpoint;
  std::string template_set;
  bool wait = false;
};

// A word of several tokens takes several vectors: say so when M follows.
void SayHowWordsBecameTokens(Session& session, const TrainOptions& asked,
                             const v1::TrainingJob& job) {
  const std::vector<std::string> words =
      absl::StrSplit(asked.init, absl::ByAnyChar(" _"), absl::SkipEmpty());
  const int tokens = job.spec().context_tokens();
  if (words.empty() || static_cast<int>(words.size()) == tokens) return;
  session.console.Note(absl::StrCat("note     the ", words.size(),
                                    " words of --init are ", tokens,
                                    " tokens: M is ", tokens));
}

void PrintEstimate(Session& session, const v1::TrainingJob& job) {
  if (session.console.json()) {
    session.console.Json(ToJson(job));
    return;
  }
  std::vector<std::pair<std::string, std::string>> pairs =
      SpecPairs(job.spec());
  const v1::JobEstimate& estimate = job.estimate();
  pairs.emplace_back("images", absl::StrCat(estimate.images()));
  pairs.emplace_back("steps", absl::StrCat(estimate.steps()));
  pairs.emplace_back(
      "time",
      estimate.has_duration()
          ? absl::StrCat(
                "about ",
                ShortDuration(absl::Seconds(estimate.duration().seconds()) +
                              absl::Nanoseconds(estimate.duration().nanos())))
          : "unknown: no such job has finished here yet");
  session.console.out() << KeyValues(pairs);
}

absl::Status Train(Session& session, const TrainFlags& flags) {
  TrainOptions options = flags.job;
  options.views = ViewsOf(flags.views);
  if (!flags.select.empty()) {
    options.selection =
        flags.select == "last" ? "last_step" : "best_validation";
  }
  if (!flags.from.empty()) {
    ASSIGN_OR_RETURN(options.initial_version, ParseTaskSelector(flags.from));
  }
  if (!flags.init_checkpoint.empty()) {
    ASSIGN_OR_RETURN(options.initial_checkpoint,
                     ParseCheckpointSelector(flags.init_checkpoint));
  }
  if (!flags.template_set.empty()) {
    ASSIGN_OR_RETURN(options.text_templates,
                     ReadTemplateSet(flags.template_set));
  }
  if (!flags.from_file.empty()) {
    ASSIGN_OR_RETURN(options.context_digest,
                     SendContextFile(session, flags.from_file, std::nullopt));
  }
  ASSIGN_OR_RETURN(v1::TrainingJob job, SubmitJob(session, options));
  SayHowWordsBecameTokens(session, options, job);
  if (options.validate_only) {
    PrintEstimate(session, job);
    return absl::OkStatus();
  }
  if (job.deduplicated()) {
    session.console.Note(absl::StrCat(
        "note     job ", job.id(), " did the very same before: its version ",
        "is the result; --fresh computes it again"));
  }
  if (!flags.wait) {
    PrintSubmitted(session, job);
    return absl::OkStatus();
  }
  session.console.Note(absl::StrCat(
      "job      ", job.id(), "  ", Printable(job.spec().task()), "  ",
      job.spec().shots(), " shots, M ", job.spec().context_tokens(), ", ",
      job.spec().epochs(), " epochs, seed ", job.spec().seed()));
  const OnInterrupt hint = SayThatJobGoesOn(session.console, job.id());
  ASSIGN_OR_RETURN(job, FollowJobWithProgress(session, job.id()));
  PrintFinished(session, job);
  return JobOutcome(job);
}

void AddRecipe(CLI::App* train, TrainFlags* flags) {
  train
      ->add_option("--views", flags->views,
                   "Views of each training image: 1, the image as it is "
                   "classified; K, a cycle of K random crops and flips; "
                   "epochs, a fresh one each epoch, as in the paper. Encoded "
                   "once, for every job that asks for the same (default 1)")
      ->check([](const std::string& text) {
        return ViewsOf(text) ? std::string()
                             : "give 1, a number of views, or epochs";
      });
  train
      ->add_option("--select", flags->select,
                   "What becomes the version: last, the last step, or "
                   "best-val, the epoch with the best accuracy on few-shot "
                   "validation images (default last)")
      ->check(CLI::IsMember({"last", "best-val"}));
}

void AddHyperParameters(CLI::App* train, TrainOptions* job) {
  train->add_option("--shots", job->shots, "Images per class (default 16)");
  train->add_option("--context-tokens,-M", job->context_tokens,
                    "Learned context vectors (default 16)");
  train->add_option("--init", job->init,
                    "Start the context from words, e.g. \"a photo of a\"; "
                    "random by default");
  train
      ->add_option("--class-position", job->class_position,
                   "Class name at the end of the context, in the middle or in "
                   "front (default end)")
      ->check(CLI::IsMember({"end", "middle", "front"}));
  train->add_flag("--csc,--class-specific", job->class_specific,
                  "Every class learns a context of its own");
  train
      ->add_option("--classes", job->class_subset,
                   "all, base (the first half) or new (the rest) (default "
                   "all)")
      ->check(CLI::IsMember({"all", "base", "new"}));
  train->add_option("--epochs", job->epochs,
                    "Passes over the shots (default 50, 100 or 200 by shots; "
                    "20 of image_encoder); 0 publishes the context that it "
                    "starts from as it is");
  train->add_option("--batch-size", job->batch_size,
                    "Images per step (default 32)");
  train->add_option("--lr", job->learning_rate,
                    "Base learning rate (default 0.002 * 100 / logit scale; of "
                    "image_encoder 0.0001 * 100 / logit scale)");
  train->add_option("--seed", job->seed,
                    "Seed of sampling and initialisation (default 1)");
  train->add_option("--encoder", job->encoder,
                    "Encoder (the server's default)");
  train
      ->add_option("--template", job->templates,
                   "Zero-shot baseline with one {}; may be repeated (seven "
                   "common ones by default)")
      ->take_all()
      ->allow_extra_args(false);
}

// One line a method, behind the option's own.
std::string MethodHelp() {
  std::string help = "How to adapt the encoder (default coop)";
  for (const MethodTraits& method : kMethods) {
    absl::StrAppend(&help, "\n", method.name, ": ", method.summary);
  }
  return help;
}

void AddMethod(CLI::App* train, TrainFlags* flags) {
  TrainOptions* const job = &flags->job;
  train->add_option("--method", job->method, MethodHelp());
  CLI::Option* const text =
      train
          ->add_option(
              "--text-template", job->text_templates,
              "Text with one {} that all methods but coop and linear_probe "
              "start from; several are averaged (default \"a photo "
              "of a {}.\")")
          ->take_all()
          ->allow_extra_args(false);
  train
      ->add_option("--template-set", flags->template_set,
                   "Several of them: coop7, clip80, or a file with a template "
                   "a line")
      ->excludes(text);
  train->add_option("--inverse-regularization,-C", job->inverse_regularization,
                    "C of linear_probe (chosen on validation images)");
}

void AddQueue(CLI::App* train, TrainFlags* flags) {
  train
      ->add_option("--priority", flags->job.priority,
                   "interactive, normal or batch (default normal)")
      ->check(CLI::IsMember({"interactive", "normal", "batch"}));
  train->add_flag("--fresh", flags->job.fresh,
                  "Compute it even if a finished job did the very same");
  train->add_flag("--dry-run", flags->job.validate_only,
                  "Check everything and estimate the cost; no job is made (a "
                  "folder is pushed all the same)");
}

}  // namespace

void AddTrainVerb(CLI::App& app, Action* chosen) {
  CLI::App* train = app.add_subcommand(
      "train", "Learn a prompt from a dataset, or from a folder of images");
  auto flags = std::make_shared<TrainFlags>();
  train
      ->add_option("dataset", flags->job.dataset,
                   "A dataset's name, or a folder that is pushed first")
      ->required();
  train->add_option("--task,-t", flags->job.task,
                    "Task that gets the new version (the dataset's name)");
  AddHyperParameters(train, &flags->job);
  AddMethod(train, flags.get());
  AddRecipe(train, flags.get());
  train->add_option("--from", flags->from,
                    "Start from the context of TASK, TASK@ALIAS or "
                    "TASK:VERSION");
  train
      ->add_option("--from-file", flags->from_file,
                   "Start from the context of a file: CoOp's checkpoint, "
                   "safetensors or npz")
      ->excludes("--from");
  train
      ->add_option("--init-checkpoint", flags->init_checkpoint,
                   "Start from the context of a job's checkpoint, JOB or "
                   "JOB:NUMBER (`promptctl job checkpoints JOB`; the last one "
                   "by default); with --epochs 0 publish it as it is")
      ->excludes("--from")
      ->excludes("--from-file")
      ->excludes("--init");
  train->add_flag("--wait,-w", flags->wait,
                  "Follow the job and print its result");
  train->add_option("--request-id", flags->job.request_id,
                    "Repeating a call with the same id makes one job only");
  AddQueue(train, flags.get());
  train->footer(
      "Examples:\n  promptctl train ./pets --shots 16 --wait\n"
      "  promptctl train pets --views epochs --select best-val --wait\n"
      "  promptctl train pets --csc --class-position middle -M 4 --wait\n"
      "  promptctl train pets --task pets --init \"a photo of a\" --seed 2\n"
      "  promptctl train pets --init-checkpoint 42:3 --epochs 0 --wait\n"
      "  promptctl train pets --method linear_probe --shots 4 --wait\n"
      "  promptctl train pets --method zero_shot --template-set clip80 --wait\n"
      "  promptctl train pets --template \"a photo of a {}.\" -o json");
  train->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Train(session, *flags); };
  });
}

}  // namespace promptd::client
