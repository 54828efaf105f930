// Tags: what people write on versions.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/prompt_registry.h"
#include "registry/prompt_rows.h"
#include "store/transact.h"

namespace promptd::registry {
namespace {

using store::Row;
using store::Transaction;
using TagMap = std::map<std::string, std::string>;

constexpr size_t kMaxTags = 32;

absl::Status Write(Transaction& tx, const Task& task, int64_t version,
                   const TagMap& set, const std::vector<std::string>& remove) {
  for (const std::string& key : remove) {
    RETURN_IF_ERROR(
        tx.Execute("DELETE FROM version_tag WHERE task_id=? AND version=?"
                   " AND key=?",
                   {task.id, version, key})
            .status());
  }
  for (const auto& [key, value] : set) {
    RETURN_IF_ERROR(
        tx.Execute("INSERT INTO version_tag (task_id, version, key, value)"
                   " VALUES (?, ?, ?, ?) ON CONFLICT (task_id, version, key)"
                   " DO UPDATE SET value=excluded.value",
                   {task.id, version, key, value})
            .status());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TagMap> LoadTags(Transaction& tx, const Task& task,
                                int64_t version) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT key, value FROM version_tag"
                            " WHERE task_id=? AND version=?",
                            {task.id, version}));
  TagMap tags;
  for (const Row& row : rows) tags.emplace(row.Text(0), row.Text(1));
  return tags;
}

absl::StatusOr<TagMap> PromptRegistry::Tags(const std::string& tenant,
                                            const std::string& task,
                                            int64_t version) {
  return store::ReadFor<TagMap>(
      db_, [&](Transaction& tx) -> absl::StatusOr<TagMap> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        RETURN_IF_ERROR(LoadVersion(tx, owner, version).status());
        return LoadTags(tx, owner, version);
      });
}

absl::StatusOr<TagMap> PromptRegistry::ChangeTags(
    const std::string& tenant, const std::string& task, int64_t version,
    const TagMap& set, const std::vector<std::string>& remove) {
  return store::WriteFor<TagMap>(
      db_, [&](Transaction& tx) -> absl::StatusOr<TagMap> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        RETURN_IF_ERROR(LoadVersion(tx, owner, version).status());
        RETURN_IF_ERROR(Write(tx, owner, version, set, remove));
        ASSIGN_OR_RETURN(TagMap tags, LoadTags(tx, owner, version));
        if (tags.size() > kMaxTags) {
          return MakeError(
              absl::StatusCode::kResourceExhausted, "TOO_MANY_TAGS",
              absl::StrCat("version ", task, ":", version, " would have ",
                           tags.size(), " tags, ", kMaxTags,
                           " are the most there can be: remove some"));
        }
        return tags;
      });
}

}  // namespace promptd::registry
