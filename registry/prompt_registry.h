// Tasks, their immutable prompt versions with evaluations, and movable aliases.
//
// Functions that take a Transaction& are halves of a caller's transaction: a
// publication is, in ONE Database::Write, JobStore::GetLeased + Publish +
// JobStore::Complete, after Prepare has stored the manifest's blob.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "registry/records.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "store/page.h"

namespace promptd::registry {

inline constexpr char kProductionAlias[] = "production";
inline constexpr char kLatestAlias[] = "latest";  // computed, read-only

// Whether a task's or an alias's name matches [a-z0-9][a-z0-9._-]{0,62}.
bool IsValidName(absl::string_view name);

// Thread-safe; the pointers are borrowed and must outlive it. All functions
// also return the store's errors (store/database.h, store/blob_store.h).
class PromptRegistry {
 public:
  PromptRegistry(store::Database* db, store::BlobStore* blobs,
                 const Clock* clock);

  // The task, made if it is new. INVALID_ARGUMENT (INVALID_TASK_NAME);
  // FAILED_PRECONDITION (TASK_MISMATCH) when it exists with other classes or
  // another encoder: the message names both sides.
  absl::StatusOr<Task> CreateTaskIfMissing(
      store::Transaction& tx, const std::string& tenant,
      const std::string& name, const std::string& encoder,
      const std::string& encoder_digest,
      const std::vector<std::string>& class_names);
  // NOT_FOUND (TASK_NOT_FOUND).
  absl::StatusOr<Task> GetTask(const std::string& tenant,
                               const std::string& name);
  absl::StatusOr<Task> GetTask(store::Transaction& tx,
                               const std::string& tenant,
                               const std::string& name);
  // Ordered by name; the page token is the last name.
  absl::StatusOr<store::Page<Task>> ListTasks(const std::string& tenant,
                                              const store::PageRequest& page);

  // Stores the manifest (canonical JSON of all that makes the prompt, without
  // its number) as a blob. INVALID_ARGUMENT (NOT_UTF8).
  absl::StatusOr<PreparedVersion> Prepare(const NewVersion& version);
  // The next number of the task, without gaps; its evaluation; `production`
  // if this is the first. NOT_FOUND (TASK_NOT_FOUND); FAILED_PRECONDITION
  // (TASK_MISMATCH) when classes or encoder are not the task's;
  // ALREADY_EXISTS (JOB_PUBLISHED) when the job has published before.
  absl::StatusOr<PromptVersion> Publish(store::Transaction& tx,
                                        const PreparedVersion& version);

  // The number of the task's version with this digest, if there is one.
  // NOT_FOUND (TASK_NOT_FOUND).
  absl::StatusOr<std::optional<int64_t>> FindVersion(store::Transaction& tx,
                                                     const std::string& tenant,
                                                     const std::string& task,
                                                     const std::string& digest);
  // By number. NOT_FOUND (TASK_NOT_FOUND, VERSION_NOT_FOUND).
  absl::StatusOr<PromptVersion> GetVersion(const std::string& tenant,
                                           const std::string& task,
                                           int64_t version);
  // By alias; an empty one means production. NOT_FOUND (TASK_NOT_FOUND,
  // ALIAS_NOT_FOUND, VERSION_NOT_FOUND for "latest" of an empty task).
  absl::StatusOr<PromptVersion> GetVersionByAlias(const std::string& tenant,
                                                  const std::string& task,
                                                  const std::string& alias);
  // Newest first, those that have all these tags. NOT_FOUND (TASK_NOT_FOUND);
  // INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
  absl::StatusOr<store::Page<PromptVersion>> ListVersions(
      const std::string& tenant, const std::string& task,
      const store::PageRequest& page, const std::vector<TagFilter>& tags = {});
  // The manifest's bytes. DATA_LOSS (BLOB_CORRUPT).
  absl::StatusOr<std::string> ManifestJson(const PromptVersion& version);

  // Forgets a version with its tags and evaluations; its number is not used
  // again, its blobs go with the next garbage collection. NOT_FOUND
  // (TASK_NOT_FOUND, VERSION_NOT_FOUND); FAILED_PRECONDITION (VERSION_IN_USE)
  // names the aliases that point at it.
  absl::Status DeleteVersion(store::Transaction& tx, const std::string& tenant,
                             const std::string& task, int64_t version);
  // The same of a task and all its versions; its aliases' histories stay.
  // FAILED_PRECONDITION (TASK_IN_USE) names its aliases.
  absl::Status DeleteTask(store::Transaction& tx, const std::string& tenant,
                          const std::string& task);

  // A version's tags, by key. NOT_FOUND (TASK_NOT_FOUND, VERSION_NOT_FOUND).
  absl::StatusOr<std::map<std::string, std::string>> Tags(
      const std::string& tenant, const std::string& task, int64_t version);
  // Removes and then sets some; returns all. NOT_FOUND as above;
  // RESOURCE_EXHAUSTED (TOO_MANY_TAGS) over 32.
  absl::StatusOr<std::map<std::string, std::string>> ChangeTags(
      const std::string& tenant, const std::string& task, int64_t version,
      const std::map<std::string, std::string>& set,
      const std::vector<std::string>& remove);

  // What a version came from by way of initial versions, nearest first; the
  // chain ends behind a deleted one, and after 100. NOT_FOUND as above.
  absl::StatusOr<std::vector<Ancestor>> Ancestors(const std::string& tenant,
                                                  const std::string& task,
                                                  int64_t version);
  // The tenant's versions of all tasks that were made from it, oldest task
  // first, in the order of their numbers. NOT_FOUND (TASK_NOT_FOUND) of a
  // source; INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
  absl::StatusOr<store::Page<PromptVersion>> ListDerived(
      const std::string& tenant, const Origin& origin,
      const store::PageRequest& page);

  // What a job found out about a version; `create_time` is set here. NOT_FOUND
  // (TASK_NOT_FOUND, VERSION_NOT_FOUND); ALREADY_EXISTS (ROW_EXISTS) when the
  // job has stored one before.
  absl::Status AddEvaluation(store::Transaction& tx, const std::string& tenant,
                             EvaluationRecord evaluation);
  // By the id of its job. NOT_FOUND (EVALUATION_NOT_FOUND).
  absl::StatusOr<EvaluationRecord> GetEvaluation(const std::string& tenant,
                                                 int64_t id);
  // Newest first, those of the version's own job among them; 0: of all
  // versions. NOT_FOUND (TASK_NOT_FOUND, VERSION_NOT_FOUND); INVALID_ARGUMENT
  // (INVALID_PAGE_TOKEN).
  absl::StatusOr<store::Page<EvaluationRecord>> ListEvaluations(
      const std::string& tenant, const std::string& task, int64_t version,
      const store::PageRequest& page);

  // By name, "latest" among them once there is a version. NOT_FOUND
  // (TASK_NOT_FOUND).
  absl::StatusOr<std::vector<Alias>> ListAliases(const std::string& tenant,
                                                 const std::string& task);
  // Where it points, or pointed at a time; "latest" has no history: its is
  // what had been published. NOT_FOUND (TASK_NOT_FOUND, ALIAS_NOT_FOUND).
  absl::StatusOr<Alias> GetAlias(const std::string& tenant,
                                 const std::string& task,
                                 const std::string& alias,
                                 std::optional<absl::Time> at = std::nullopt);
  // Points an alias (empty: production) at a version; to where it points
  // already changes nothing. NOT_FOUND (TASK_NOT_FOUND, VERSION_NOT_FOUND);
  // ABORTED (ALIAS_MOVED) with the current version and revision when it is not
  // as expected; INVALID_ARGUMENT (ALIAS_READ_ONLY, INVALID_ALIAS_NAME);
  // RESOURCE_EXHAUSTED (TOO_MANY_ALIASES) over 100.
  absl::StatusOr<Alias> SetAlias(const std::string& tenant,
                                 const std::string& task,
                                 const std::string& alias, int64_t version,
                                 const AliasChange& change);
  // Undoes the last move that was not undone yet, as a move of its own.
  // FAILED_PRECONDITION (NOTHING_TO_ROLL_BACK, VERSION_GONE); NOT_FOUND
  // (TASK_NOT_FOUND, ALIAS_NOT_FOUND); ABORTED and INVALID_ARGUMENT as above.
  absl::StatusOr<Alias> RollbackAlias(const std::string& tenant,
                                      const std::string& task,
                                      const std::string& alias,
                                      const AliasChange& change);
  // Where a rollback would lead from the revision it is at now (0: there is no
  // alias). Errors as of RollbackAlias.
  struct RollbackPlan {
    int64_t version = 0;
    int64_t revision = 0;
  };
  absl::StatusOr<RollbackPlan> PlanRollback(const std::string& tenant,
                                            const std::string& task,
                                            const std::string& alias);
  // Forgets where it points; its history stays. NOT_FOUND (TASK_NOT_FOUND,
  // ALIAS_NOT_FOUND); ABORTED and INVALID_ARGUMENT as above.
  absl::Status DeleteAlias(const std::string& tenant, const std::string& task,
                           const std::string& alias, const AliasChange& change);
  // Newest first, of a deleted one too. NOT_FOUND (TASK_NOT_FOUND,
  // ALIAS_NOT_FOUND); INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
  absl::StatusOr<store::Page<AliasMove>> AliasHistory(
      const std::string& tenant, const std::string& task,
      const std::string& alias, const store::PageRequest& page);

  // Goes up whenever it may have changed which version a name means, before the
  // function that made the change returns. A name that was looked up after
  // reading this means the same for as long as this stays.
  uint64_t Revision() const {
    return revision_.load(std::memory_order_acquire);
  }

  // Remembers an encoder that a worker holds, and lists what was remembered,
  // by name. For messages about encoders that are gone.
  absl::Status RecordEncoder(const std::string& digest,
                             const std::string& name);
  absl::StatusOr<std::vector<EncoderSeen>> ListEncoders();

 private:
  // To be called by every transaction that changes what a name means.
  void NamesChange(store::Transaction& tx);

  store::Database* const db_;
  store::BlobStore* const blobs_;
  const Clock* const clock_;
  std::atomic<uint64_t> revision_ = 0;
};

}  // namespace promptd::registry
