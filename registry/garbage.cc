#include "registry/garbage.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "registry/blob_roots.h"
#include "store/transact.h"

namespace promptd::registry {
namespace {

using store::Row;
using store::Transaction;
using store::Value;

constexpr size_t kRowsPerRead = 1000;
constexpr absl::Duration kRetryable = absl::Hours(24 * 7);

// The first column of a query: what the rows are ordered and read on by.
enum class Key { kNumber, kText };

// All rows of a query whose first column grows, in short reads. `sql` has a
// place for the last one seen and for the limit, behind those of `values`.
absl::StatusOr<std::vector<Row>> ReadAll(store::Database* db,
                                         const std::string& sql, Key key,
                                         const std::vector<Value>& values) {
  std::vector<Row> all;
  Value after = key == Key::kText ? Value("") : Value(0);
  while (true) {
    std::vector<Value> bound = values;
    bound.push_back(after);
    bound.emplace_back(static_cast<int64_t>(kRowsPerRead));
    ASSIGN_OR_RETURN(const std::vector<Row> rows,
                     store::ReadFor<std::vector<Row>>(db, [&](Transaction& tx) {
                       return tx.Query(sql, bound);
                     }));
    all.insert(all.end(), rows.begin(), rows.end());
    if (rows.size() < kRowsPerRead) return all;
    after = key == Key::kText ? Value(rows.back().Text(0))
                              : Value(rows.back().Int(0));
  }
}

// The digests in every column but the first.
absl::Status AddColumns(store::Database* db, const std::string& sql, Key key,
                        const std::vector<Value>& values, BlobRoots* roots) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows, ReadAll(db, sql, key, values));
  for (const Row& row : rows) {
    for (size_t i = 1; i < row.size(); ++i) roots->AddAllIn(row.Text(i));
  }
  return absl::OkStatus();
}

absl::Status AddDatasets(store::Database* db, const store::BlobStore& blobs,
                         BlobRoots* roots) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   ReadAll(db,
                           "SELECT id, manifest_blob, name FROM dataset"
                           " WHERE id>? ORDER BY id LIMIT ?",
                           Key::kNumber, {}));
  for (const Row& row : rows) {
    const auto manifest = blobs.Get(row.Text(1));
    if (!manifest.ok()) {
      return Annotate(manifest.status(),
                      absl::StrCat("nothing was deleted: the images of "
                                   "dataset \"",
                                   row.Text(2), "\" cannot be told"));
    }
    roots->AddAllIn(row.Text(1));
    roots->AddAllIn(*manifest);
  }
  return absl::OkStatus();
}

absl::StatusOr<BlobRoots> FindRoots(store::Database* db,
                                    const store::BlobStore& blobs,
                                    absl::Time now) {
  BlobRoots roots;
  RETURN_IF_ERROR(
      AddColumns(db,
                 "SELECT job_id, digest, context_digest, features_digest, spec"
                 " FROM prompt_version WHERE job_id>? ORDER BY job_id LIMIT ?",
                 Key::kNumber, {}, &roots));
  RETURN_IF_ERROR(AddColumns(db,
                             "SELECT key, digest FROM feature_blob WHERE key>?"
                             " ORDER BY key LIMIT ?",
                             Key::kText, {}, &roots));
  RETURN_IF_ERROR(
      AddColumns(db,
                 "SELECT id, checkpoint_digest, spec FROM job WHERE (state IN"
                 " ('queued', 'running', 'paused') OR"
                 " (state IN ('failed', 'cancelled') AND ended>?)) AND id>?"
                 " ORDER BY id LIMIT ?",
                 Key::kNumber, {now - kRetryable}, &roots));
  RETURN_IF_ERROR(AddDatasets(db, blobs, &roots));
  roots.Seal();
  return roots;
}

void Count(const store::BlobEntry& blob, BlobCount* count) {
  ++count->blobs;
  count->bytes += blob.bytes;
}

}  // namespace

absl::StatusOr<GarbageReport> CollectGarbage(store::Database* db,
                                             store::BlobStore* blobs,
                                             const Clock& clock,
                                             const GarbageOptions& options) {
  // Before the roots are read: who refers to a blob afterwards has touched it
  // since.
  const absl::Time cutoff = clock.Now() - options.grace;
  ASSIGN_OR_RETURN(const BlobRoots roots, FindRoots(db, *blobs, clock.Now()));
  GarbageReport report;
  std::vector<store::BlobEntry> garbage;
  RETURN_IF_ERROR(blobs->ForEach([&](const store::BlobEntry& blob) {
    if (roots.Has(blob.digest)) {
      Count(blob, &report.kept);
    } else if (blob.touched >= cutoff) {
      Count(blob, &report.young);
    } else {
      garbage.push_back(blob);
    }
  }));
  for (const store::BlobEntry& blob : garbage) {
    FailpointStep("garbage.remove");
    bool removed = options.dry_run;
    if (!removed) {
      ASSIGN_OR_RETURN(removed, blobs->Remove(blob.digest, cutoff));
    }
    Count(blob, removed ? &report.garbage : &report.young);
  }
  return report;
}

}  // namespace promptd::registry
