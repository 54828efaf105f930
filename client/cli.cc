#include "client/cli.h"

#include <algorithm>
#include <exception>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/error_report.h"
#include "client/verbs.h"
#include "common/error.h"
#include "common/nearest_name.h"

namespace promptd::client {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(60);

struct GlobalFlags {
  std::string server = "127.0.0.1:7080";
  std::string tenant;
  std::string output = "table";
  std::string timeout;
  bool quiet = false;
  bool verbose = false;
  bool no_color = false;
};

void AddGlobalFlags(CLI::App& app, GlobalFlags* flags) {
  app.add_option("--server,-s", flags->server, "promptd's HOST:PORT")
      ->capture_default_str()
      ->envname("PROMPTD_SERVER");
  app.add_option("--tenant", flags->tenant,
                 "Whose datasets, tasks and jobs; the server's \"default\" "
                 "unless given")
      ->envname("PROMPTD_TENANT");
  app.add_option("--output,-o", flags->output, "table or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json"}));
  app.add_option("--timeout", flags->timeout,
                 "Longest wait for one answer, e.g. 500ms, 30s or 2m (60s; "
                 "uploads and watching are unbounded unless this is given)");
  app.add_flag("--quiet,-q", flags->quiet, "Results, warnings, errors only");
  app.add_flag("--verbose,-v", flags->verbose, "More detail");
  app.add_flag("--no-color", flags->no_color, "No colours (also: NO_COLOR)");
  app.set_version_flag("--version", "promptctl " PROMPTD_VERSION);
}

void AddVerbs(CLI::App& app, Action* chosen) {
  AddDemoVerb(app, chosen);
  AddStatusVerb(app, chosen);
  AddTrainVerb(app, chosen);
  AddEvalVerb(app, chosen);
  AddClassifyVerb(app, chosen);
  AddEmbedVerbs(app, chosen);
  AddDatasetVerbs(app, chosen);
  AddJobVerbs(app, chosen);
  AddTaskVerbs(app, chosen);
  AddVersionVerbs(app, chosen);
  AddEvaluationVerbs(app, chosen);
  AddExperimentVerbs(app, chosen);
  AddAliasVerbs(app, chosen);
  AddGcVerb(app, chosen);
  AddEncoderVerbs(app, chosen);
}

// "30s", "2m", "500ms", or a plain number of seconds.
absl::StatusOr<absl::Duration> ParseTimeout(const std::string& text) {
  if (text.empty()) return kDefaultTimeout;
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    duration = absl::ZeroDuration();
  }
  if (duration <= absl::ZeroDuration() || duration > absl::Hours(24 * 365)) {
    return UsageError(absl::StrCat("--timeout \"", text,
                                   "\" is no length of time: write e.g. "
                                   "500ms, 30s or 2m"));
  }
  return duration;
}

// The innermost noun or verb that was understood.
const CLI::App* Deepest(const CLI::App& app) {
  const CLI::App* level = &app;
  while (!level->get_subcommands().empty()) {
    level = level->get_subcommands().front();
  }
  return level;
}

std::vector<std::string> VerbsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(verb->get_name());
  }
  return names;
}

std::string CommandOf(const CLI::App* level) {
  return level->get_parent() == nullptr
             ? "promptctl"
             : absl::StrCat(CommandOf(level->get_parent()), " ",
                            level->get_name());
}

absl::Status UnknownVerb(const CLI::App* level, const std::string& word) {
  const std::string command = CommandOf(level);
  const std::string nearest = NearestName(word, VerbsOf(*level));
  return UsageError(absl::StrCat(
      "\"", command, " ", word, "\" is not a command: ",
      nearest.empty()
          ? absl::StrCat("see `", command, " --help`")
          : absl::StrCat("did you mean `", command, " ", nearest, "`?")));
}

// CLI11's own error as one of ours.
absl::Status ExplainParseError(const CLI::App& app,
                               const CLI::ParseError& error) {
  const CLI::App* level = Deepest(app);
  const std::string help = absl::StrCat("see `", CommandOf(level), " --help`");
  const std::vector<std::string> rest = app.remaining(true);
  const auto word = std::find_if(rest.begin(), rest.end(), [](const auto& arg) {
    return !absl::StartsWith(arg, "-");
  });
  if (!VerbsOf(*level).empty()) {
    if (word != rest.end()) return UnknownVerb(level, *word);
    if (rest.empty()) {
      return UsageError(
          absl::StrCat(CommandOf(level), " needs a command: ", help));
    }
  }
  if (!rest.empty() && dynamic_cast<const CLI::ExtrasError*>(&error)) {
    return UsageError(
        absl::StrCat("\"", rest.front(), "\" is not understood here: ", help));
  }
  return UsageError(absl::StrCat(error.what(), ": ", help));
}

ConsoleOptions Merge(const ConsoleOptions& detected, const GlobalFlags& flags) {
  ConsoleOptions options = detected;
  options.json = flags.output == "json";
  options.quiet = flags.quiet;
  options.verbose = flags.verbose;
  if (flags.no_color) options.color = false;
  return options;
}

ExitCode Run(const GlobalFlags& flags, const Action& action, Console& console) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(flags.timeout);
  if (!timeout.ok()) return PrintError(timeout.status(), console);
  Api api(flags.server, *timeout, !flags.timeout.empty(), flags.tenant);
  Session session{api, console, *Clock::Real()};
  const absl::Status status = action(session);
  console.out().flush();
  return status.ok() ? ExitCode::kOk : PrintError(status, console);
}

ExitCode ParseAndRun(std::vector<std::string> arguments, std::ostream& out,
                     std::ostream& err, const ConsoleOptions& detected) {
  CLI::App app(
      "Learn prompts for a frozen CLIP from a few images, and "
      "classify with them.",
      "promptctl");
  GlobalFlags flags;
  Action action;
  AddGlobalFlags(app, &flags);
  app.require_subcommand(1);
  app.fallthrough();
  AddVerbs(app, &action);
  app.footer(
      "Examples:\n  promptctl demo\n  promptctl train ./pets --shots 16 "
      "--wait\n  promptctl classify photo.jpg --task pets\n\n"
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied,\n"
      "5 unavailable, 6 exhausted, 7 timeout, 130 interrupted.");
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::Success& help_or_version) {
    app.exit(help_or_version, out, err);
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    Console console(out, err, Merge(detected, flags));
    return PrintError(ExplainParseError(app, error), console);
  }
  Console console(out, err, Merge(detected, flags));
  return Run(flags, action, console);
}

}  // namespace

ExitCode RunCli(const std::vector<std::string>& arguments, std::ostream& out,
                std::ostream& err, const ConsoleOptions& detected) {
  try {
    return ParseAndRun(arguments, out, err, detected);
  } catch (const std::exception& error) {
    Console console(out, err, detected);
    return PrintError(MakeError(absl::StatusCode::kInternal, "INTERNAL",
                                absl::StrCat("internal error: ", error.what())),
                      console);
  }
}

}  // namespace promptd::client
