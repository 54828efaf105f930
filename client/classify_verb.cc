// promptctl classify IMAGE...
#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/classify.h"
#include "client/exit_code.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

struct ClassifyFlags {
  ClassifyOptions options;
  std::string task;
  std::string labels;  // comma separated
};

nlohmann::json OutcomeJson(const ClassifyOutcome& outcome,
                           const ClassifyOptions& options) {
  nlohmann::json results = nlohmann::json::array();
  for (const FileResult& file : outcome.files) {
    nlohmann::json entry = {{"file", file.file},
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
  return {{"task", options.task.task},
          {"version", outcome.version},
          {"version_digest", outcome.version_digest},
          {"encoder_digest", outcome.encoder_digest},
          {"results", std::move(results)}};
}

std::string FileLine(const FileResult& file, int width) {
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
  return line;
}

std::string OutcomeText(const ClassifyOutcome& outcome) {
  int width = 0;
  for (const FileResult& file : outcome.files) {
    width = std::max(width, DisplayWidth(file.file));
  }
  std::string out;
  for (const FileResult& file : outcome.files) {
    absl::StrAppend(&out, FileLine(file, width), "\n");
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

absl::Status Resolve(const ClassifyFlags& flags, ClassifyOptions* options) {
  *options = flags.options;
  options->labels = SplitLabels(flags.labels);
  if (flags.task.empty() == options->labels.empty()) {
    return UsageError(
        "classify needs either a learned prompt or labels: add --task TASK, "
        "or --labels cat,dog for zero-shot");
  }
  if (flags.task.empty()) return absl::OkStatus();
  if (!options->prompt_template.empty() || !options->encoder.empty()) {
    return UsageError(
        "--template and --encoder belong to --labels: a task brings its own");
  }
  ASSIGN_OR_RETURN(options->task, ParseTaskSelector(flags.task));
  return absl::OkStatus();
}

absl::Status Classify(Session& session, const ClassifyFlags& flags) {
  ClassifyOptions options;
  RETURN_IF_ERROR(Resolve(flags, &options));
  const absl::Time start = session.clock.Now();
  ASSIGN_OR_RETURN(const ClassifyOutcome outcome,
                   ClassifyFiles(session, options));
  if (session.console.json()) {
    session.console.Json(OutcomeJson(outcome, options));
  } else {
    session.console.out() << OutcomeText(outcome);
    const std::string prompt =
        outcome.version > 0
            ? absl::StrCat(options.task.task, ":", outcome.version)
            : std::string(options.labels.empty() ? "no answer" : "zero-shot");
    session.console.Note(
        absl::StrCat(outcome.files.size() - static_cast<size_t>(outcome.failed),
                     " images with ", prompt, " in ",
                     ShortDuration(session.clock.Now() - start)));
  }
  if (outcome.failed == 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "IMAGES_FAILED",
                   absl::StrCat(outcome.failed, " of ", outcome.files.size(),
                                " images could not be classified: see the "
                                "line of each"));
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
  classify->add_option("--task,-t", flags->task,
                       "TASK, TASK@ALIAS or TASK:VERSION (alias production "
                       "by default)");
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
  classify->footer(
      "Examples:\n  promptctl classify rose.jpg --task flowers\n"
      "  promptctl classify test/*.png --task flowers:3 --top-k 1\n"
      "  promptctl classify rose.jpg --labels rose,tulip,daisy\n\n"
      "Exit code 1 when any image failed; the others are still answered.");
  classify->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Classify(session, *flags); };
  });
}

}  // namespace promptd::client
