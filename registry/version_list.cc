// Lists of versions: of a task, and by what they were made from.
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "registry/prompt_registry.h"
#include "registry/prompt_rows.h"
#include "store/transact.h"

namespace promptd::registry {
namespace {

using store::Row;
using store::Transaction;
using store::Value;
using Versions = store::Page<PromptVersion>;

constexpr int kMaxAncestors = 100;

// Where a page of several tasks' versions goes on: behind this one.
struct Place {
  int64_t task_id = 0;
  int64_t version = 0;
};

absl::StatusOr<Place> PlaceOf(const std::string& page_token) {
  Place place;
  if (page_token.empty()) return place;
  const std::vector<std::string> parts = absl::StrSplit(page_token, '.');
  if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &place.task_id) &&
      absl::SimpleAtoi(parts[1], &place.version)) {
    return place;
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN",
                   "page_token is not one from an earlier answer");
}

// The columns that hold the origin, as a condition with its values.
absl::StatusOr<std::string> Condition(Transaction& tx,
                                      const std::string& tenant,
                                      const Origin& origin,
                                      std::vector<Value>* values) {
  if (!origin.dataset_digest.empty()) {
    values->emplace_back(origin.dataset_digest);
    return "v.dataset_digest=?";
  }
  if (!origin.encoder_digest.empty()) {
    values->emplace_back(origin.encoder_digest);
    return "v.encoder_digest=?";
  }
  ASSIGN_OR_RETURN(const Task source, LoadTask(tx, tenant, origin.source_task));
  values->emplace_back(source.id);
  values->emplace_back(origin.source_version);
  return "v.source_task_id=? AND v.source_version=?";
}

// Tasks by their keys, each read once.
class Tasks {
 public:
  explicit Tasks(Transaction* tx) : tx_(*tx) {}

  absl::StatusOr<const Task*> Get(int64_t id) {
    auto found = tasks_.find(id);
    if (found == tasks_.end()) {
      ASSIGN_OR_RETURN(const std::vector<Row> rows,
                       tx_.Query(SelectTask() + " WHERE t.id=?", {id}));
      ASSIGN_OR_RETURN(Task task, TaskFromRow(rows.at(0)));
      found = tasks_.emplace(id, std::move(task)).first;
    }
    return &found->second;
  }

 private:
  Transaction& tx_;
  std::map<int64_t, Task> tasks_;
};

absl::StatusOr<PromptVersion> ReadVersion(Transaction& tx, Tasks& tasks,
                                          const Row& key) {
  ASSIGN_OR_RETURN(const Task* const task, tasks.Get(key.Int(0)));
  ASSIGN_OR_RETURN(PromptVersion version, LoadVersion(tx, *task, key.Int(1)));
  ASSIGN_OR_RETURN(version.tags, LoadTags(tx, *task, version.version));
  return version;
}

}  // namespace

absl::StatusOr<Versions> PromptRegistry::ListVersions(
    const std::string& tenant, const std::string& task,
    const store::PageRequest& page, const std::vector<TagFilter>& tags) {
  ASSIGN_OR_RETURN(const int64_t before, store::NumberBefore(page));
  const int size = store::PageSize(page);
  return store::ReadFor<Versions>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Versions> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        std::string sql =
            SelectVersion() + " WHERE v.task_id=? AND v.version<?";
        std::vector<Value> values = {owner.id, before};
        for (const TagFilter& tag : tags) {
          absl::StrAppend(&sql,
                          " AND EXISTS (SELECT 1 FROM version_tag g"
                          " WHERE g.task_id=v.task_id AND g.version=v.version"
                          " AND g.key=?",
                          tag.value ? " AND g.value=?)" : ")");
          values.emplace_back(tag.key);
          if (tag.value) values.emplace_back(*tag.value);
        }
        values.emplace_back(size + 1);
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query(sql + " ORDER BY v.version DESC LIMIT ?", values));
        Versions result;
        for (const Row& row : rows) {
          result.items.push_back(VersionFromRow(row, owner));
        }
        if (result.items.size() > static_cast<size_t>(size)) {
          result.items.pop_back();
          result.next_page_token = absl::StrCat(result.items.back().version);
        }
        RETURN_IF_ERROR(AddAliases(tx, owner, result.items));
        for (PromptVersion& version : result.items) {
          ASSIGN_OR_RETURN(version.tags, LoadTags(tx, owner, version.version));
        }
        return result;
      });
}

absl::StatusOr<std::optional<int64_t>> PromptRegistry::FindVersion(
    Transaction& tx, const std::string& tenant, const std::string& task,
    const std::string& digest) {
  ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT version FROM prompt_version"
                            " WHERE task_id=? AND digest=?"
                            " ORDER BY version LIMIT 1",
                            {owner.id, digest}));
  return rows.empty() ? std::nullopt : std::optional<int64_t>(rows[0].Int(0));
}

absl::StatusOr<Versions> PromptRegistry::ListDerived(
    const std::string& tenant, const Origin& origin,
    const store::PageRequest& page) {
  ASSIGN_OR_RETURN(const Place after, PlaceOf(page.page_token));
  const size_t size = static_cast<size_t>(store::PageSize(page));
  return store::ReadFor<Versions>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Versions> {
        std::vector<Value> values;
        ASSIGN_OR_RETURN(const std::string condition,
                         Condition(tx, tenant, origin, &values));
        values.insert(values.end(), {after.task_id, after.version, tenant,
                                     static_cast<int64_t>(size) + 1});
        ASSIGN_OR_RETURN(
            const std::vector<Row> keys,
            tx.Query(
                absl::StrCat("SELECT v.task_id, v.version FROM prompt_version v"
                             " JOIN task t ON t.id=v.task_id WHERE ",
                             condition,
                             " AND (v.task_id, v.version)>(?, ?) AND t.tenant=?"
                             " ORDER BY v.task_id, v.version LIMIT ?"),
                values));
        Versions result;
        Tasks tasks(&tx);
        for (size_t i = 0; i < keys.size() && i < size; ++i) {
          ASSIGN_OR_RETURN(PromptVersion version,
                           ReadVersion(tx, tasks, keys[i]));
          result.items.push_back(std::move(version));
        }
        if (keys.size() > size) {
          const Row& last = keys[size - 1];
          result.next_page_token = absl::StrCat(last.Int(0), ".", last.Int(1));
        }
        return result;
      });
}

absl::StatusOr<std::vector<Ancestor>> PromptRegistry::Ancestors(
    const std::string& tenant, const std::string& task, int64_t version) {
  using Chain = std::vector<Ancestor>;
  return store::ReadFor<Chain>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Chain> {
        ASSIGN_OR_RETURN(const Task owner, LoadTask(tx, tenant, task));
        RETURN_IF_ERROR(LoadVersion(tx, owner, version).status());
        Chain chain;
        int64_t task_id = owner.id;
        int64_t number = version;
        while (chain.size() < kMaxAncestors) {
          ASSIGN_OR_RETURN(
              const std::vector<Row> rows,
              tx.Query("SELECT v.source_task_id, v.source_version,"
                       " COALESCE(t.name, ''), COALESCE(s.digest, '')"
                       " FROM prompt_version v"
                       " LEFT JOIN task t ON t.id=v.source_task_id"
                       " LEFT JOIN prompt_version s"
                       " ON s.task_id=v.source_task_id"
                       " AND s.version=v.source_version"
                       " WHERE v.task_id=? AND v.version=?"
                       " AND v.source_version IS NOT NULL",
                       {task_id, number}));
          if (rows.empty()) break;
          task_id = rows[0].Int(0);
          number = rows[0].Int(1);
          chain.push_back({rows[0].Text(2), number, rows[0].Text(3)});
        }
        return chain;
      });
}

}  // namespace promptd::registry
