#include "client/demo_server.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace promptd::client {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(20);
constexpr int64_t kMaxReadyBytes = 4096;

}  // namespace

absl::StatusOr<ServerAddresses> ParseReadyFile(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("listen") && json.contains("http") &&
      json["listen"].is_string() && json["http"].is_string()) {
    return ServerAddresses{json["listen"].get<std::string>(),
                           json["http"].get<std::string>()};
  }
  return MakeError(absl::StatusCode::kInternal, "BAD_READY_FILE",
                   absl::StrCat("promptd's ready file holds \"", text, "\""));
}

DemoServer::DemoServer(std::unique_ptr<ChildProcess> process,
                       std::string log_file)
    : process_(std::move(process)),
      interrupted_([this] { process_->Stop(absl::ZeroDuration()); }),
      log_file_(std::move(log_file)) {}

absl::Status DemoServer::WaitUntilReady(const std::string& ready_file,
                                        absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  for (;;) {
    // promptd renames the complete file into place.
    const absl::StatusOr<std::string> text =
        ReadFile(ready_file, kMaxReadyBytes);
    if (text.ok()) {
      ASSIGN_OR_RETURN(addresses_, ParseReadyFile(*text));
      return absl::OkStatus();
    }
    if (const auto status = process_->ExitStatus()) {
      return MakeError(absl::StatusCode::kAborted, "SERVER_EXITED",
                       absl::StrCat("promptd ended with status ", *status,
                                    " before it was ready"));
    }
    if (absl::Now() >= deadline) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, "SERVER_NOT_READY",
                       absl::StrCat("promptd is not ready after ",
                                    absl::FormatDuration(patience)));
    }
    absl::SleepFor(kPoll);
  }
}

absl::StatusOr<std::unique_ptr<DemoServer>> DemoServer::Start(
    const std::string& program, const std::string& models,
    const std::string& folder, absl::Duration patience) {
  const std::string ready_file = absl::StrCat(folder, "/ready.json");
  ChildOptions options;
  options.program = program;
  options.arguments = {"--data-dir",   absl::StrCat(folder, "/data"),
                       "--listen",     "127.0.0.1:0",
                       "--http",       "127.0.0.1:0",
                       "--ready-file", ready_file};
  options.environment = {{"PROMPTD_MODELS", models}};
  options.log_file = absl::StrCat(folder, "/promptd.log");
  ASSIGN_OR_RETURN(std::unique_ptr<ChildProcess> process,
                   ChildProcess::Start(options));
  std::unique_ptr<DemoServer> server(
      new DemoServer(std::move(process), options.log_file));
  RETURN_IF_ERROR(server->WaitUntilReady(ready_file, patience));
  return server;
}

std::string Tail(const std::string& file, int lines) {
  std::ifstream in(file, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)),
                         std::istreambuf_iterator<char>());
  std::vector<absl::string_view> all = absl::StrSplit(text, '\n');
  if (!all.empty() && all.back().empty()) all.pop_back();
  const size_t keep = std::min(all.size(), static_cast<size_t>(lines));
  return absl::StrJoin(all.end() - static_cast<ptrdiff_t>(keep), all.end(),
                       "\n");
}

}  // namespace promptd::client
