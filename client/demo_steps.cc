#include "client/demo_steps.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/classify.h"
#include "client/http_get.h"
#include "client/job_view.h"
#include "client/prompt_view.h"
#include "client/push.h"
#include "client/table.h"
#include "client/text.h"
#include "client/train.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "promptd/v1/classify.pb.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/training.pb.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownClasses = 6;
// What the metrics say about the job and the images of a demo.
constexpr const char* kShownMetrics[] = {
    "promptd_jobs_finished_total", "promptd_training_steps_total",
    "promptd_images_total", "promptd_stage_duration_seconds_count",
    "promptd_grpc_requests_total{code=\"OK\",method=\"Classify\""};

// Where the demo shows what the commands would have printed: the result
// stream holds only the last line.
std::ostream& Shown(Session& session) { return session.console.err(); }

std::vector<fs::path> SortedEntries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().filename().string().front() != '.') {
      entries.push_back(entry.path());
    }
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

// The first test image of the first classes: (class folder, file).
std::vector<std::pair<std::string, std::string>> TestImages(
    const BundledTask& task) {
  std::vector<std::pair<std::string, std::string>> images;
  for (const fs::path& folder : SortedEntries(fs::path(task.folder) / "test")) {
    const std::vector<fs::path> files = SortedEntries(folder);
    if (!files.empty() && images.size() < kShownClasses) {
      images.emplace_back(folder.filename().string(), files.front().string());
    }
  }
  return images;
}

std::string SpacesForUnderscores(std::string text) {
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

}  // namespace

DemoScore MeanScore(const std::vector<DemoScore>& scores) {
  DemoScore mean;
  const auto count = static_cast<double>(scores.size());
  for (const DemoScore& score : scores) {
    mean.zero_shot += score.zero_shot / count;
    mean.learned += score.learned / count;
    mean.job_time += score.job_time / count;
  }
  return mean;
}

double GainStandardError(const std::vector<DemoScore>& scores) {
  if (scores.size() < 2) return 0.0;
  const DemoScore mean = MeanScore(scores);
  double squares = 0;
  for (const DemoScore& score : scores) {
    const double off =
        (score.learned - score.zero_shot) - (mean.learned - mean.zero_shot);
    squares += off * off;
  }
  const auto count = static_cast<double>(scores.size());
  return std::sqrt(squares / (count - 1) / count);
}

std::string DemoOkLine(const DemoScore& score) {
  return absl::StrFormat("demo: OK zero-shot %s learned %s (%s) job %.1fs",
                         Percent(score.zero_shot), Percent(score.learned),
                         Points(score.learned - score.zero_shot),
                         absl::ToDoubleSeconds(score.job_time));
}

void ShowCommand(Session& session, absl::string_view command) {
  session.console.Note(absl::StrCat(
      "\n",
      session.console.Bold(absl::StrCat("$ promptctl ", Printable(command)))));
}

absl::Status PushStep(Session& session, const BundledTask& task) {
  ShowCommand(session, absl::StrCat("dataset push ", task.folder));
  return PushFolder(session, task.folder, task.name).status();
}

absl::StatusOr<DemoScore> TrainStep(Session& session, const BundledTask& task,
                                    int shots, int64_t seed) {
  ShowCommand(session, absl::StrCat("train ", task.name, " --shots ", shots,
                                    " --seed ", seed, " --wait"));
  TrainOptions options;
  options.dataset = task.name;
  options.shots = shots;
  options.seed = seed;
  ASSIGN_OR_RETURN(v1::TrainingJob job, SubmitJob(session, options));
  ASSIGN_OR_RETURN(job, FollowJobWithProgress(session, job.id()));
  RETURN_IF_ERROR(JobOutcome(job));
  session.console.Note(FinishedLine(job, session.clock.Now()));
  return DemoScore{job.result().zero_shot_accuracy(), job.result().accuracy(),
                   RunTime(job, session.clock.Now())};
}

absl::Status RegistryStep(Session& session, const std::string& task) {
  v1::ListVersionsRequest versions;
  versions.set_task(task);
  ShowCommand(session, absl::StrCat("version list ", task));
  ASSIGN_OR_RETURN(
      const v1::ListVersionsResponse listed,
      session.api.Call(&v1::PromptService::Stub::ListVersions, versions));
  Shown(session) << VersionTable(
      {listed.versions().begin(), listed.versions().end()},
      session.clock.Now());
  v1::ListAliasesRequest aliases;
  aliases.set_task(task);
  ShowCommand(session, absl::StrCat("alias list ", task));
  ASSIGN_OR_RETURN(
      const v1::ListAliasesResponse names,
      session.api.Call(&v1::PromptService::Stub::ListAliases, aliases));
  Shown(session) << AliasTable({names.aliases().begin(), names.aliases().end()},
                               session.clock.Now());
  for (const v1::Alias& alias : names.aliases()) {
    if (alias.name() == "production" && alias.version() == 1) {
      return absl::OkStatus();
    }
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, "DEMO_ALIAS",
                   "production does not point at version 1");
}

absl::Status ClassifyStep(Session& session, const BundledTask& task) {
  const auto images = TestImages(task);
  if (images.empty()) {
    return MakeError(absl::StatusCode::kNotFound, "DEMO_IMAGES",
                     absl::StrCat("no test images in ", task.folder));
  }
  ClassifyOptions options;
  options.task.task = task.name;
  options.top_k = 2;
  for (const auto& [truth, file] : images) options.images.push_back(file);
  ShowCommand(session,
              absl::StrCat("classify ", task.folder, "/test/*/... --task ",
                           task.name, " --top-k 2"));
  ASSIGN_OR_RETURN(const ClassifyOutcome outcome,
                   ClassifyFiles(session, options));
  Table table({"IMAGE", "TRUTH", "ANSWER", "SCORE", "SECOND", "SCORE"});
  for (size_t i = 0; i < images.size(); ++i) {
    const FileResult& file = outcome.files[i];
    if (file.scores.size() < 2) {
      return MakeError(
          absl::StatusCode::kInternal, "DEMO_CLASSIFY",
          absl::StrCat(file.file, " got no answer: ", file.error_message));
    }
    const v1::Score& best = file.scores[0];
    const v1::Score& second = file.scores[1];
    table.Add({fs::path(file.file).filename().string(),
               SpacesForUnderscores(images[i].first), best.class_name(),
               absl::StrFormat("%.3f", best.probability()), second.class_name(),
               absl::StrFormat("%.3f", second.probability())});
  }
  Shown(session) << table.ToString();
  return absl::OkStatus();
}

absl::Status MetricsStep(Session& session, const std::string& http_address) {
  session.console.Note(
      absl::StrCat("\n", session.console.Bold(absl::StrCat(
                             "$ curl http://", http_address, "/metrics"))));
  ASSIGN_OR_RETURN(const std::string text,
                   HttpGet(http_address, "/metrics", absl::Seconds(10)));
  int shown = 0;
  for (const char* metric : kShownMetrics) {
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!absl::StartsWith(line, metric) || absl::EndsWith(line, " 0")) {
        continue;
      }
      Shown(session) << Printable(line) << "\n";
      ++shown;
    }
  }
  if (shown > 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kNotFound, "DEMO_METRICS",
                   "/metrics tells nothing about the calls that were made");
}

}  // namespace promptd::client
