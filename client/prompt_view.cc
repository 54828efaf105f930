#include "client/prompt_view.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/job_view.h"
#include "client/table.h"
#include "client/text.h"

namespace promptd::client {
namespace {

std::string VersionOrDash(int64_t version) {
  return version > 0 ? absl::StrCat(version) : "-";
}

}  // namespace

std::string TaskTable(const std::vector<v1::Task>& tasks, absl::Time now) {
  Table table(
      {"NAME", "CLASSES", "ENCODER", "LATEST", "PRODUCTION", "CREATED"});
  for (const v1::Task& task : tasks) {
    table.Add({task.name(), absl::StrCat(task.class_names_size()),
               task.encoder(), VersionOrDash(task.latest_version()),
               VersionOrDash(task.production_version()),
               Ago(ToTime(task.create_time()), now)});
  }
  return table.ToString();
}

std::string TaskText(const v1::Task& task, absl::Time now) {
  return KeyValues(
      {{"task", task.name()},
       {"encoder",
        absl::StrCat(task.encoder(), "  ", ShortDigest(task.encoder_digest()))},
       {"classes", absl::StrJoin(task.class_names(), ", ")},
       {"latest", VersionOrDash(task.latest_version())},
       {"production", VersionOrDash(task.production_version())},
       {"created", Ago(ToTime(task.create_time()), now)}});
}

std::string VersionTable(const std::vector<v1::PromptVersion>& versions,
                         absl::Time now) {
  Table table({"VERSION", "DIGEST", "ALIASES", "METHOD", "SHOTS", "RESULT",
               "JOB", "CREATED"});
  for (const v1::PromptVersion& version : versions) {
    table.Add({absl::StrCat(version.task(), ":", version.version()),
               ShortDigest(version.digest()),
               absl::StrJoin(version.aliases(), ","), version.spec().method(),
               absl::StrCat(version.spec().shots()),
               ResultText(version.evaluation()), absl::StrCat(version.job_id()),
               Ago(ToTime(version.create_time()), now)});
  }
  return table.ToString();
}

std::string TagsText(
    const google::protobuf::Map<std::string, std::string>& tags) {
  std::map<std::string, std::string> sorted(tags.begin(), tags.end());
  std::vector<std::string> parts;
  for (const auto& [key, value] : sorted) {
    parts.push_back(value.empty() ? key : absl::StrCat(key, "=", value));
  }
  return parts.empty() ? "-" : absl::StrJoin(parts, ", ");
}

std::string LineageText(const v1::GetLineageResponse& lineage, absl::Time now) {
  const v1::PromptVersion& version = lineage.version();
  std::vector<std::pair<std::string, std::string>> pairs = {
      {"version", absl::StrCat(version.task(), ":", version.version(), "  ",
                               ShortDigest(version.digest()))},
      {"job", absl::StrCat(version.job_id())},
      {"created", Ago(ToTime(version.create_time()), now)},
      {"dataset",
       version.dataset().empty()
           ? "none"
           : absl::StrCat(version.dataset(), "  ", version.dataset_digest(),
                          lineage.dataset_stored() ? "" : "  (deleted)")},
      {"encoder",
       absl::StrCat(version.spec().encoder(), "  ", version.encoder_digest(),
                    lineage.encoder_held() ? "" : "  (no worker holds it)")}};
  for (const v1::VersionAncestor& source : lineage.sources()) {
    pairs.emplace_back(
        "started from",
        absl::StrCat(source.task().empty() ? "a deleted task" : source.task(),
                     ":", source.version(), "  ",
                     source.digest().empty() ? "(deleted)"
                                             : ShortDigest(source.digest())));
  }
  return KeyValues(pairs);
}

std::string VersionText(const v1::PromptVersion& version, absl::Time now) {
  std::vector<std::pair<std::string, std::string>> pairs = {
      {"version", absl::StrCat(version.task(), ":", version.version())},
      {"digest", version.digest()},
      {"context",
       version.context_digest().empty() ? "none" : version.context_digest()},
      {"aliases", absl::StrJoin(version.aliases(), ", ")},
      {"tags", TagsText(version.tags())},
      {"job", absl::StrCat(version.job_id())},
      {"created", Ago(ToTime(version.create_time()), now)}};
  for (auto& pair : SpecPairs(version.spec())) pairs.push_back(std::move(pair));
  pairs.emplace_back("result", ResultText(version.evaluation()));
  return KeyValues(pairs) + EvaluationText(version.evaluation());
}

std::string AliasHistoryTable(const std::vector<v1::AliasMove>& moves,
                              absl::Time now) {
  Table table({"REVISION", "FROM", "TO", "WHEN", "WHO", "WHY"});
  for (const v1::AliasMove& move : moves) {
    const std::string undone =
        move.undone_revision() == 0
            ? ""
            : absl::StrCat("rollback of revision ", move.undone_revision());
    table.Add(
        {absl::StrCat(move.revision()), VersionOrDash(move.previous_version()),
         move.version() == 0 ? "deleted" : absl::StrCat(move.version()),
         Ago(ToTime(move.time()), now), move.actor(),
         absl::StrCat(undone,
                      !undone.empty() && !move.reason().empty() ? ": " : "",
                      move.reason())});
  }
  return table.ToString();
}

std::string AliasTable(const std::vector<v1::Alias>& aliases, absl::Time now) {
  Table table({"ALIAS", "VERSION", "REVISION", "MOVED"});
  for (const v1::Alias& alias : aliases) {
    table.Add({alias.name(), absl::StrCat(alias.task(), ":", alias.version()),
               absl::StrCat(alias.revision()),
               Ago(ToTime(alias.update_time()), now)});
  }
  return table.ToString();
}

}  // namespace promptd::client
