#include "registry/dataset_catalog.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/status_macros.h"
#include "registry/json_text.h"
#include "store/transact.h"

namespace promptd::registry {
namespace {

using store::Row;
using store::Transaction;

const std::string& SelectDataset() {
  static const std::string* const sql = new std::string(
      "SELECT name, digest, manifest_blob, class_names, splits, total_bytes,"
      " created FROM dataset");
  return *sql;
}

absl::StatusOr<Dataset> DatasetFromRow(const Row& row) {
  Dataset dataset;
  dataset.name = row.Text(0);
  dataset.digest = row.Text(1);
  dataset.manifest_blob = row.Text(2);
  ASSIGN_OR_RETURN(dataset.class_names, NamesFromJson(row.Text(3)));
  ASSIGN_OR_RETURN(dataset.splits, SplitsFromJson(row.Text(4)));
  dataset.total_bytes = row.Int(5);
  dataset.create_time = row.Time(6);
  return dataset;
}

absl::StatusOr<std::optional<Dataset>> Find(Transaction& tx,
                                            const std::string& tenant,
                                            const std::string& name) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query(SelectDataset() + " WHERE tenant=? AND name=?", {tenant, name}));
  if (rows.empty()) return std::optional<Dataset>();
  ASSIGN_OR_RETURN(Dataset dataset, DatasetFromRow(rows[0]));
  return std::optional<Dataset>(std::move(dataset));
}

absl::Status NotFound(const std::string& name) {
  return MakeError(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND",
                   absl::StrCat("no dataset \"", name,
                                "\": `promptctl dataset list` shows yours, "
                                "`promptctl dataset push` adds one"));
}

absl::Status DigestNotFound(const std::string& dataset_digest) {
  return MakeError(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND",
                   absl::StrCat("no dataset has the digest ", dataset_digest,
                                ": push it again"));
}

// The bytes of a draft's images. IMAGES_MISSING.
absl::StatusOr<int64_t> SumImages(store::BlobStore& blobs,
                                  const DatasetDraft& draft) {
  int64_t bytes = 0;
  int64_t missing = 0;
  std::string first_missing;
  const std::set<std::string> digests(draft.image_digests.begin(),
                                      draft.image_digests.end());
  for (const std::string& digest : digests) {
    const absl::StatusOr<int64_t> size = blobs.Size(digest);
    // From here on the dataset's row keeps them.
    if (size.ok() && blobs.Keep(digest)) {
      bytes += *size;
    } else if (missing++ == 0) {
      first_missing = digest;
    }
  }
  if (missing == 0) return bytes;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "IMAGES_MISSING",
      absl::StrCat(missing, " of ", digests.size(), " images of dataset \"",
                   draft.name, "\" are not uploaded, first ", first_missing,
                   ": upload them, or leave out the rejected ones"));
}

absl::Status Insert(Transaction& tx, const std::string& tenant,
                    const Dataset& dataset) {
  ASSIGN_OR_RETURN(const std::string names, NamesToJson(dataset.class_names));
  ASSIGN_OR_RETURN(const std::string splits, SplitsToJson(dataset.splits));
  return tx
      .Execute(
          "INSERT INTO dataset (tenant, name, digest, manifest_blob,"
          " class_names, splits, total_bytes, created)"
          " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
          {tenant, dataset.name, dataset.digest, dataset.manifest_blob, names,
           splits, dataset.total_bytes, dataset.create_time})
      .status();
}

}  // namespace

DatasetCatalog::DatasetCatalog(store::Database* db, store::BlobStore* blobs,
                               const Clock* clock)
    : db_(db), blobs_(blobs), clock_(clock) {}

std::vector<std::string> DatasetCatalog::MissingImages(
    const DatasetDraft& draft) const {
  std::vector<std::string> missing;
  std::set<std::string> seen;
  for (const std::string& digest : draft.image_digests) {
    if (!seen.insert(digest).second || blobs_->Keep(digest)) continue;
    missing.push_back(digest);
  }
  return missing;
}

absl::StatusOr<Dataset> DatasetCatalog::Commit(const std::string& tenant,
                                               const DatasetDraft& draft) {
  Dataset dataset;
  dataset.name = draft.name;
  dataset.digest = draft.digest;
  dataset.class_names = draft.class_names;
  dataset.splits = draft.splits;
  ASSIGN_OR_RETURN(dataset.total_bytes, SumImages(*blobs_, draft));
  ASSIGN_OR_RETURN(dataset.manifest_blob, blobs_->Put(draft.manifest_json));
  FailpointStep("dataset.commit");
  // As the row keeps it.
  dataset.create_time = store::FromMillis(store::ToMillis(clock_->Now()));
  return store::WriteFor<Dataset>(
      db_, [&](Transaction& tx) -> absl::StatusOr<Dataset> {
        ASSIGN_OR_RETURN(const std::optional<Dataset> existing,
                         Find(tx, tenant, draft.name));
        if (existing && existing->digest == draft.digest) return *existing;
        if (existing) {
          return MakeError(
              absl::StatusCode::kAlreadyExists, "DATASET_EXISTS",
              absl::StrCat("dataset \"", draft.name,
                           "\" exists with other content (digest ",
                           existing->digest,
                           "): choose another name or delete it first"));
        }
        RETURN_IF_ERROR(Insert(tx, tenant, dataset));
        return dataset;
      });
}

absl::StatusOr<Dataset> DatasetCatalog::Get(const std::string& tenant,
                                            const std::string& name) {
  return store::ReadFor<Dataset>(
      db_, [&](Transaction& tx) { return Get(tx, tenant, name); });
}

absl::StatusOr<Dataset> DatasetCatalog::Get(Transaction& tx,
                                            const std::string& tenant,
                                            const std::string& name) {
  ASSIGN_OR_RETURN(std::optional<Dataset> found, Find(tx, tenant, name));
  if (!found) return NotFound(name);
  return *std::move(found);
}

absl::Status DatasetCatalog::CheckThere(Transaction& tx,
                                        const std::string& tenant,
                                        const std::string& dataset_digest) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT 1 FROM dataset WHERE digest=? AND tenant=? LIMIT 1",
               {dataset_digest, tenant}));
  return rows.empty() ? DigestNotFound(dataset_digest) : absl::OkStatus();
}

absl::StatusOr<store::Page<Dataset>> DatasetCatalog::List(
    const std::string& tenant, const store::PageRequest& page) {
  const int size = store::PageSize(page);
  return store::ReadFor<store::Page<Dataset>>(
      db_, [&](Transaction& tx) -> absl::StatusOr<store::Page<Dataset>> {
        ASSIGN_OR_RETURN(
            const std::vector<Row> rows,
            tx.Query(SelectDataset() +
                         " WHERE tenant=? AND name>? ORDER BY name LIMIT ?",
                     {tenant, page.page_token, size + 1}));
        store::Page<Dataset> result;
        for (const Row& row : rows) {
          if (result.items.size() == static_cast<size_t>(size)) {
            result.next_page_token = result.items.back().name;
            break;
          }
          ASSIGN_OR_RETURN(Dataset dataset, DatasetFromRow(row));
          result.items.push_back(std::move(dataset));
        }
        return result;
      });
}

absl::Status DatasetCatalog::Delete(const std::string& tenant,
                                    const std::string& name) {
  return db_->Write([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(const Dataset dataset, Get(tx, tenant, name));
    ASSIGN_OR_RETURN(
        const std::vector<Row> needing,
        tx.Query("SELECT id FROM job WHERE tenant=? AND dataset_digest=?"
                 " AND state IN ('queued', 'running', 'paused')"
                 " ORDER BY id LIMIT 1",
                 {tenant, dataset.digest}));
    ASSIGN_OR_RETURN(const std::vector<Row> others,
                     tx.Query("SELECT COUNT(*) FROM dataset WHERE digest=?",
                              {dataset.digest}));
    if (!needing.empty() && others.at(0).Int(0) == 1) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "DATASET_IN_USE",
          absl::StrCat("dataset \"", name, "\" is needed by job ",
                       needing[0].Int(0), ": wait for it or cancel it"));
    }
    return tx
        .Execute("DELETE FROM dataset WHERE tenant=? AND name=?",
                 {tenant, name})
        .status();
  });
}

absl::StatusOr<std::string> DatasetCatalog::ManifestJson(
    const std::string& dataset_digest) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   store::ReadFor<std::vector<Row>>(db_, [&](Transaction& tx) {
                     return tx.Query(
                         "SELECT manifest_blob FROM dataset WHERE digest=?"
                         " ORDER BY id LIMIT 1",
                         {dataset_digest});
                   }));
  if (rows.empty()) return DigestNotFound(dataset_digest);
  return blobs_->Get(rows[0].Text(0));
}

absl::StatusOr<std::optional<std::string>> DatasetCatalog::FindFeatures(
    const std::string& key) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   store::ReadFor<std::vector<Row>>(db_, [&](Transaction& tx) {
                     return tx.Query(
                         "SELECT digest, used FROM feature_blob WHERE key=?",
                         {key});
                   }));
  if (rows.empty()) return std::optional<std::string>();
  const absl::Time now = clock_->Now();
  if (now - rows[0].Time(1) >= kFeatureUseStep) {
    ASSIGN_OR_RETURN(const int64_t there,
                     store::WriteFor<int64_t>(db_, [&](Transaction& tx) {
                       return tx.Execute(
                           "UPDATE feature_blob SET used=? WHERE key=?",
                           {now, key});
                     }));
    if (there == 0) return std::optional<std::string>();  // just forgotten
  }
  return std::optional<std::string>(rows[0].Text(0));
}

absl::Status DatasetCatalog::RecordFeatures(const std::string& key,
                                            const std::string& digest) {
  return db_->Write([&](Transaction& tx) -> absl::Status {
    ASSIGN_OR_RETURN(
        const std::vector<Row> found,
        tx.Query("SELECT digest FROM feature_blob WHERE key=?", {key}));
    if (found.empty()) {
      return tx
          .Execute(
              "INSERT INTO feature_blob (key, digest, created, used)"
              " VALUES (?, ?, ?, ?)",
              {key, digest, clock_->Now(), clock_->Now()})
          .status();
    }
    if (found[0].Text(0) == digest) {
      return tx
          .Execute("UPDATE feature_blob SET used=? WHERE key=?",
                   {clock_->Now(), key})
          .status();
    }
    return MakeError(
        absl::StatusCode::kAlreadyExists, "FEATURES_DIFFER",
        absl::StrCat("features for the recipe ", key, " are stored as ",
                     found[0].Text(0), " and cannot become ", digest,
                     ": the encoder did not compute the same bytes twice"));
  });
}

}  // namespace promptd::registry
