// promptctl classify IMAGE...
#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/classify.h"
#include "client/exit_code.h"
#include "client/multi_classify.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "promptd/v1/classify.pb.h"

namespace promptd::client {
namespace {

struct ClassifyFlags {
  ClassifyOptions options;
  std::vector<std::string> tasks;
  std::string labels;  // comma separated
};

std::string CacheText(v1::CacheState cache) {
  switch (cache) {
    case v1::CACHE_STATE_BYPASS:
      return "bypass";
    case v1::CACHE_STATE_HIT:
      return "hit";
    case v1::CACHE_STATE_JOIN:
      return "join";
    case v1::CACHE_STATE_MISS:
      return "miss";
    default:
      return "";
  }
}

nlohmann::json OutcomeJson(const ClassifyOutcome& outcome,
                           const std::string& task) {
  nlohmann::json results = nlohmann::json::array();
  for (const FileResult& file : outcome.files) {
    nlohmann::json entry = {{"file", file.file},
                            {"cache", CacheText(file.cache)},
                            {"batch_size", file.batch_size},
                            {"scores", nlohmann::json::array()}};
    for (const v1::Score& score : file.scores) {
      entry["scores"].push_back(ToJson(score));
    }
    if (!file.error_reason.empty()) {
      entry["error"] = {{"reason", file.error_reason},
                        {"message", file.error_message}};
    }
    results.push_back(std::move(entry));
  }
  nlohmann::json json = {{"task", task},
                         {"version", outcome.version},
                         {"version_digest", outcome.version_digest},
                         {"encoder_digest", outcome.encoder_digest},
                         {"timings", ToJson(outcome.timings)},
                         {"results", std::move(results)}};
  if (!outcome.error_reason.empty()) {
    json["error"] = {{"reason", outcome.error_reason},
                     {"message", outcome.error_message}};
  }
  return json;
}

std::string FileLine(const FileResult& file, int width, bool verbose) {
  std::string line = Printable(file.file);
  line.append(static_cast<size_t>(std::max(0, width - DisplayWidth(line))),
              ' ');
  if (!file.error_reason.empty()) {
    return absl::StrCat(line, "  error: ", Printable(file.error_message), " (",
                        Printable(file.error_reason), ")");
  }
  for (const v1::Score& score : file.scores) {
    absl::StrAppend(&line, "  ", Printable(score.class_name()),
                    absl::StrFormat(" %.3f", score.probability()));
  }
  if (verbose) {
    absl::StrAppend(&line, "  [", CacheText(file.cache), ", batch of ",
                    file.batch_size, "]");
  }
  return line;
}

std::string OutcomeText(const ClassifyOutcome& outcome, bool verbose) {
  int width = 0;
  for (const FileResult& file : outcome.files) {
    width = std::max(width, DisplayWidth(file.file));
  }
  std::string out;
  for (const FileResult& file : outcome.files) {
    absl::StrAppend(&out, FileLine(file, width, verbose), "\n");
  }
  return out;
}

std::vector<std::string> SplitLabels(const std::string& text) {
  std::vector<std::string> labels;
  for (absl::string_view label : absl::StrSplit(text, ',')) {
    label = absl::StripAsciiWhitespace(label);
    if (!label.empty()) labels.emplace_back(label);
  }
  return labels;
}

// Fills `tasks` and, with the first of them, `options`.
absl::Status Resolve(const ClassifyFlags& flags, ClassifyOptions* options,
                     std::vector<TaskSelector>* tasks) {
  *options = flags.options;
  options->labels = SplitLabels(flags.labels);
  if (flags.tasks.empty() == options->labels.empty()) {
    return UsageError(
        "classify needs either a learned prompt or labels: add --task TASK, "
        "or --labels cat,dog for zero-shot");
  }
  if (flags.tasks.size() > 1 && options->by_digest) {
    return UsageError("--by-digest goes with one task, or with --labels");
  }
  if (flags.tasks.empty()) return absl::OkStatus();
  if (!options->prompt_template.empty() || !options->encoder.empty()) {
    return UsageError(
        "--template and --encoder belong to --labels: a task brings its own");
  }
  for (const std::string& task : flags.tasks) {
    ASSIGN_OR_RETURN(tasks->emplace_back(), ParseTaskSelector(task));
  }
  options->task = tasks->front();
  return absl::OkStatus();
}

std::string TimingsText(const v1::StageTimings& timings) {
  const auto text = [](const google::protobuf::Duration& duration) {
    return absl::FormatDuration(absl::Trunc(
        absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos()),
        absl::Microseconds(1)));
  };
  return absl::StrCat("slowest call: hash ", text(timings.hash()), ", decode ",
                      text(timings.decode()), ", queue ", text(timings.queue()),
                      ", encode ", text(timings.encode()), ", head ",
                      text(timings.head()), ", in all ", text(timings.total()));
}

absl::Status ImagesFailed(int failed, size_t images) {
  if (failed == 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "IMAGES_FAILED",
                   absl::StrCat(failed, " of ", images,
                                " images could not be classified: see the "
                                "line of each"));
}

absl::Status ClassifyOne(Session& session, const ClassifyOptions& options) {
  const absl::Time start = session.clock.Now();
  ASSIGN_OR_RETURN(const ClassifyOutcome outcome,
                   ClassifyFiles(session, options));
  if (session.console.json()) {
    session.console.Json(OutcomeJson(outcome, options.task.task));
  } else {
    session.console.out() << OutcomeText(outcome,
                                         session.console.options().verbose);
    session.console.Detail(TimingsText(outcome.timings));
    const std::string prompt =
        outcome.version > 0
            ? absl::StrCat(options.task.task, ":", outcome.version)
            : std::string(options.labels.empty() ? "no answer" : "zero-shot");
    session.console.Note(
        absl::StrCat(outcome.files.size() - static_cast<size_t>(outcome.failed),
                     " images with ", prompt, " in ",
                     ShortDuration(session.clock.Now() - start)));
  }
  return ImagesFailed(outcome.failed, outcome.files.size());
}

std::string TaskText(const ClassifyOutcome& outcome, const TaskSelector& task,
                     bool verbose) {
  if (!outcome.error_reason.empty()) {
    return absl::StrCat(Printable(ToString(task)),
                        "  error: ", Printable(outcome.error_message), " (",
                        Printable(outcome.error_reason), ")\n");
  }
  return absl::StrCat(Printable(task.task), ":", outcome.version, "\n",
                      OutcomeText(outcome, verbose));
}

absl::Status ClassifyMany(Session& session, const ClassifyOptions& options,
                          const std::vector<TaskSelector>& tasks) {
  const absl::Time start = session.clock.Now();
  ASSIGN_OR_RETURN(const std::vector<ClassifyOutcome> outcomes,
                   ClassifyFilesWithTasks(session, options, tasks));
  nlohmann::json json = nlohmann::json::array();
  int failed = 0;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    failed += outcomes[i].failed;
    if (session.console.json()) {
      json.push_back(OutcomeJson(outcomes[i], tasks[i].task));
    } else {
      session.console.out()
          << TaskText(outcomes[i], tasks[i], session.console.options().verbose);
    }
  }
  if (session.console.json()) {
    session.console.Json({{"tasks", std::move(json)}});
  } else {
    session.console.Detail(TimingsText(outcomes.front().timings));
    session.console.Note(
        absl::StrCat(options.images.size(), " images with ", tasks.size(),
                     " tasks in ", ShortDuration(session.clock.Now() - start)));
  }
  return ImagesFailed(failed, options.images.size() * tasks.size());
}

absl::Status Classify(Session& session, const ClassifyFlags& flags) {
  ClassifyOptions options;
  std::vector<TaskSelector> tasks;
  RETURN_IF_ERROR(Resolve(flags, &options, &tasks));
  if (tasks.size() > 1) return ClassifyMany(session, options, tasks);
  return ClassifyOne(session, options);
}

}  // namespace

absl::Status UsageError(absl::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, kUsageReason, message);
}

void AddClassifyVerb(CLI::App& app, Action* chosen) {
  CLI::App* classify = app.add_subcommand(
      "classify", "Classify images with a learned prompt, or zero-shot");
  auto flags = std::make_shared<ClassifyFlags>();
  classify
      ->add_option("image", flags->options.images, "JPEG, PNG or WebP files")
      ->required();
  classify
      ->add_option("--task,-t", flags->tasks,
                   "TASK, TASK@ALIAS or TASK:VERSION (alias production by "
                   "default); repeat for several, which share one encoding of "
                   "each image")
      ->allow_extra_args(false)
      ->take_all();
  classify->add_option("--labels", flags->labels,
                       "Zero-shot: class names, separated by commas");
  classify->add_option("--template", flags->options.prompt_template,
                       "Zero-shot: text with one {} (\"a photo of a {}.\")");
  classify->add_option("--encoder", flags->options.encoder,
                       "Zero-shot: the encoder (the server's default)");
  classify
      ->add_option("--top-k,-k", flags->options.top_k,
                   "Classes to show per image")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  CLI::Option* no_cache = classify->add_flag(
      "--no-cache", flags->options.no_cache,
      "Encode the images, even if the server has their features");
  classify
      ->add_flag("--by-digest", flags->options.by_digest,
                 "Ask by SHA-256 first, and send only the images that the "
                 "server does not know")
      ->excludes(no_cache);
  classify
      ->add_option("--priority", flags->options.priority,
                   "Among your own calls: high, normal or low")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, v1::Priority>{{"high", v1::PRIORITY_HIGH},
                                              {"normal", v1::PRIORITY_NORMAL},
                                              {"low", v1::PRIORITY_LOW}},
          CLI::ignore_case))
      ->type_name("PRIORITY");
  classify->footer(
      "Examples:\n  promptctl classify rose.jpg --task flowers\n"
      "  promptctl classify test/*.png --task flowers:3 --top-k 1\n"
      "  promptctl classify rose.jpg --task flowers --task gardens@beta\n"
      "  promptctl classify rose.jpg --labels rose,tulip,daisy\n\n"
      "Exit code 1 when any image failed; the others are still answered.");
  classify->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Classify(session, *flags); };
  });
}

}  // namespace promptd::client
