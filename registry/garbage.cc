#include "registry/garbage.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "registry/blob_roots.h"
#include "registry/dataset_catalog.h"
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

// What is forgotten before the roots are read.
struct Cutoffs {
  absl::Time jobs;      // that ended before: failed and cancelled ones
  absl::Time features;  // that were used before
};

// Features that an unfinished job may have begun with stay: it goes on from the
// very same bytes.
absl::StatusOr<Cutoffs> FindCutoffs(store::Database* db, absl::Time now,
                                    absl::Duration keep_features) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   store::ReadFor<std::vector<Row>>(db, [](Transaction& tx) {
                     return tx.Query(
                         "SELECT MIN(started) FROM job WHERE state IN"
                         " ('queued', 'running', 'paused')",
                         {});
                   }));
  Cutoffs cutoffs{now - kRetryable, absl::UnixEpoch()};
  if (keep_features == absl::InfiniteDuration()) return cutoffs;
  cutoffs.features = now - keep_features;
  const std::optional<absl::Time> started = rows.at(0).MaybeTime(0);
  if (started) {
    cutoffs.features =
        std::min(cutoffs.features, *started - DatasetCatalog::kFeatureUseStep);
  }
  return cutoffs;
}

// Rows that hold on to blobs and that nobody needs any more; how many image
// features there were among them.
absl::StatusOr<int64_t> Forget(store::Database* db, const Cutoffs& cutoffs) {
  RETURN_IF_ERROR(db->Write([&](Transaction& tx) {
    return tx
        .Execute(
            "DELETE FROM job_checkpoint WHERE EXISTS (SELECT 1 FROM job"
            " WHERE job.id=job_checkpoint.job_id AND job.ended<=?)",
            {cutoffs.jobs})
        .status();
  }));
  const int64_t most = static_cast<int64_t>(kRowsPerRead);
  int64_t total = 0;
  for (int64_t forgotten = most; forgotten == most; total += forgotten) {
    ASSIGN_OR_RETURN(forgotten,
                     store::WriteFor<int64_t>(db, [&](Transaction& tx) {
                       return tx.Execute(
                           "DELETE FROM feature_blob WHERE key IN (SELECT key"
                           " FROM feature_blob WHERE used<? LIMIT ?)",
                           {cutoffs.features, most});
                     }));
  }
  return total;
}

absl::StatusOr<BlobRoots> FindRoots(store::Database* db,
                                    const store::BlobStore& blobs,
                                    const Cutoffs& cutoffs) {
  BlobRoots roots;
  RETURN_IF_ERROR(
      AddColumns(db,
                 "SELECT job_id, digest, context_digest, features_digest, spec"
                 " FROM prompt_version WHERE job_id>? ORDER BY job_id LIMIT ?",
                 Key::kNumber, {}, &roots));
  RETURN_IF_ERROR(AddColumns(db,
                             "SELECT key, digest FROM feature_blob WHERE"
                             " used>=? AND key>? ORDER BY key LIMIT ?",
                             Key::kText, {cutoffs.features}, &roots));
  RETURN_IF_ERROR(
      AddColumns(db,
                 "SELECT c.id, c.blob_digest FROM job_checkpoint c JOIN job j"
                 " ON j.id=c.job_id WHERE (j.ended IS NULL OR j.ended>?) AND"
                 " c.id>? ORDER BY c.id LIMIT ?",
                 Key::kNumber, {cutoffs.jobs}, &roots));
  RETURN_IF_ERROR(
      AddColumns(db,
                 "SELECT id, checkpoint_digest, spec FROM job WHERE (state IN"
                 " ('queued', 'running', 'paused') OR"
                 " (state IN ('failed', 'cancelled') AND ended>?)) AND id>?"
                 " ORDER BY id LIMIT ?",
                 Key::kNumber, {cutoffs.jobs}, &roots));
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
  ASSIGN_OR_RETURN(const Cutoffs cutoffs,
                   FindCutoffs(db, clock.Now(), options.keep_features));
  GarbageReport report;
  if (!options.dry_run) {
    ASSIGN_OR_RETURN(report.features, Forget(db, cutoffs));
  }
  ASSIGN_OR_RETURN(const BlobRoots roots, FindRoots(db, *blobs, cutoffs));
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
    if (options.stop()) break;
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
