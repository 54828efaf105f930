#include "client/encoder_remove.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/encoder_import.h"
#include "client/error_report.h"
#include "client/paging.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "weights/encoder_folder.h"
#include "weights/encoder_folder_removal.h"

namespace promptd::client {
namespace {

constexpr char kEmbedded[] = "embedded";

std::vector<std::string> NamesIn(const std::string& encoders) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(encoders, ignored)) {
    const std::string name = entry.path().filename().string();
    if (weights::IsEncoderName(name) && entry.is_directory(ignored)) {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status CheckThere(const std::string& encoders, const std::string& name) {
  const std::vector<std::string> names = NamesIn(encoders);
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    return absl::OkStatus();
  }
  if (name == kEmbedded) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "ENCODER_NOT_REMOVABLE",
        "the embedded encoder comes with promptd and was not imported: to "
        "serve without it, name the folders to load with `promptd --encoder`");
  }
  return MakeError(
      absl::StatusCode::kNotFound, "ENCODER_NOT_FOUND",
      absl::StrCat("no imported encoder \"", name, "\" in ", encoders,
                   names.empty()
                       ? ": there is none at all, is --data-dir right?"
                       : ": there are ",
                   absl::StrJoin(names, ", ")));
}

absl::StatusOr<std::vector<std::string>> TasksOn(Api& api,
                                                 const std::string& digest) {
  ASSIGN_OR_RETURN(
      const std::vector<v1::Task> tasks,
      AllPages<v1::Task>(
          [&api](const std::string& token) {
            v1::ListTasksRequest request;
            request.set_page_token(token);
            return api.Call(&v1::PromptService::Stub::ListTasks, request);
          },
          [](const auto& reply) -> auto& { return reply.tasks(); }));
  std::vector<std::string> names;
  for (const v1::Task& task : tasks) {
    if (task.encoder_digest() == digest) names.push_back(task.name());
  }
  return names;
}

absl::Status NotChecked(const RemovalReport& report) {
  return WithWhy(
      MakeError(absl::StatusCode::kFailedPrecondition, "TASKS_NOT_CHECKED",
                "cannot tell whether tasks use the encoder: start promptd on "
                "the same data folder and try again, or say --force"),
      report.tasks_checked.message());
}

absl::Status InUse(const std::string& name, const RemovalReport& report) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "ENCODER_IN_USE",
      absl::StrCat("encoder \"", name, "\" is used by ",
                   report.tasks.size() == 1 ? "the task " : "the tasks ",
                   absl::StrJoin(report.tasks, ", "),
                   ": without it they can neither classify nor train; say "
                   "--force if that is meant"));
}

}  // namespace

absl::StatusOr<RemovalReport> RemoveEncoder(Api& api,
                                            const EncoderRemoval& removal) {
  if (!weights::IsEncoderName(removal.name)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_NAME",
                     absl::StrCat("\"", removal.name,
                                  "\" cannot name an encoder: give a name, "
                                  "not a path"));
  }
  ASSIGN_OR_RETURN(const std::string encoders,
                   ImportedEncoders(removal.data_dir));
  weights::RemoveLeftovers(encoders);
  RETURN_IF_ERROR(CheckThere(encoders, removal.name));
  RemovalReport report;
  report.folder = absl::StrCat(encoders, "/", removal.name);
  const auto digest = weights::HashEncoderFolder(report.folder);
  report.digest = digest.value_or("");
  report.tasks_checked = digest.status();
  if (digest.ok()) {
    auto tasks = TasksOn(api, *digest);
    report.tasks_checked = tasks.status();
    if (tasks.ok()) report.tasks = *std::move(tasks);
  }
  if (!removal.force) {
    if (!report.tasks_checked.ok()) return NotChecked(report);
    if (!report.tasks.empty()) return InUse(removal.name, report);
  }
  RETURN_IF_ERROR(weights::RemoveEncoderFolder(report.folder));
  return report;
}

}  // namespace promptd::client
