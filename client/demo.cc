#include "client/demo.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/bundle.h"
#include "client/demo_server.h"
#include "client/demo_steps.h"
#include "client/error_report.h"
#include "client/interrupt.h"
#include "client/temp_folder.h"
#include "client/text.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

constexpr absl::Duration kStartPatience = absl::Seconds(60);
constexpr absl::Duration kStopGrace = absl::Seconds(20);
constexpr absl::Duration kCallTimeout = absl::Seconds(60);
constexpr int kLogLines = 20;

std::vector<int64_t> SeedsOf(const DemoOptions& options) {
  if (options.seeds <= 0) return {options.seed};
  std::vector<int64_t> seeds;
  for (int seed = 1; seed <= options.seeds; ++seed) seeds.push_back(seed);
  return seeds;
}

absl::StatusOr<std::vector<DemoScore>> RunSteps(Session& session,
                                                const BundledTask& task,
                                                const DemoOptions& options,
                                                const std::string& http) {
  RETURN_IF_ERROR(PushStep(session, task));
  std::vector<DemoScore> scores;
  for (const int64_t seed : SeedsOf(options)) {
    ASSIGN_OR_RETURN(const DemoScore score,
                     TrainStep(session, task, options.shots, seed));
    scores.push_back(score);
  }
  RETURN_IF_ERROR(RegistryStep(session, task.name));
  RETURN_IF_ERROR(ClassifyStep(session, task));
  RETURN_IF_ERROR(MetricsStep(session, http));
  return scores;
}

absl::Status StopCleanly(Console& console, DemoServer& server) {
  console.Note("\nstopping promptd");
  const int status = server.Stop(kStopGrace);
  if (status == 0) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInternal, "SERVER_EXIT",
      absl::StrCat("promptd ended with status ", status, " after SIGTERM"));
}

absl::StatusOr<std::vector<DemoScore>> ServeAndRun(Console& console,
                                                   const Clock& clock,
                                                   const DemoOptions& options,
                                                   const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string program, FindServer(options.promptd));
  ASSIGN_OR_RETURN(const std::string models, FindModels());
  ASSIGN_OR_RETURN(const BundledTask task,
                   FindBundledTask(models, options.task));
  console.Note(console.Bold(absl::StrCat("$ promptd --data-dir ", folder,
                                         "/data --listen 127.0.0.1:0 --http "
                                         "127.0.0.1:0")));
  ASSIGN_OR_RETURN(const std::unique_ptr<DemoServer> server,
                   DemoServer::Start(program, models, folder, kStartPatience));
  const ServerAddresses& addresses = server->addresses();
  console.Note(absl::StrCat("serving  gRPC ", addresses.grpc, "  HTTP ",
                            addresses.http, "  log ", server->log_file()));
  Api api(addresses.grpc, kCallTimeout);
  Session session{api, console, clock};
  ASSIGN_OR_RETURN(std::vector<DemoScore> scores,
                   RunSteps(session, task, options, addresses.http));
  RETURN_IF_ERROR(StopCleanly(console, *server));
  return scores;
}

absl::Status Judge(Console& console, const std::vector<DemoScore>& scores) {
  const DemoScore mean = MeanScore(scores);
  if (scores.size() > 1) {
    console.Note(absl::StrFormat(
        "mean over %d seeds: gain %s points, standard error %.1f",
        scores.size(), Points(mean.learned - mean.zero_shot),
        100.0 * GainStandardError(scores)));
  }
  if (mean.learned > mean.zero_shot) {
    console.out() << DemoOkLine(mean) << std::endl;
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "NO_GAIN",
      absl::StrCat("the learned prompt (", Percent(mean.learned),
                   ") is no better than the best zero-shot template (",
                   Percent(mean.zero_shot), ")"));
}

}  // namespace

absl::Status RunDemo(Console& console, const Clock& clock,
                     const DemoOptions& options) {
  absl::StatusOr<TempFolder> folder = options.keep.empty()
                                          ? TempFolder::Make("promptd-demo-")
                                          : TempFolder::Keep(options.keep);
  absl::Status status = folder.status();
  if (status.ok()) {
    // The server's own action ran before this one: nothing writes any more.
    const OnInterrupt interrupted([&folder] { folder->Remove(); });
    const absl::StatusOr<std::vector<DemoScore>> scores =
        ServeAndRun(console, clock, options, folder->path());
    status = scores.status();
    if (scores.ok()) status = Judge(console, *scores);
    const std::string log =
        Tail(absl::StrCat(folder->path(), "/promptd.log"), kLogLines);
    if (!status.ok() && !log.empty()) {
      console.err() << "last lines of promptd's log:\n" << log << std::endl;
    }
  }
  if (!status.ok()) {
    console.out() << "demo: FAILED " << Printable(ReportOf(status).what)
                  << std::endl;
  }
  return status;
}

}  // namespace promptd::client
