// Committed datasets, and feature blobs computed from them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/clock.h"
#include "registry/push_sessions.h"
#include "registry/records.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "store/page.h"

namespace promptd::registry {

// Thread-safe; the pointers are borrowed and must outlive it. All functions
// also return the store's errors (store/database.h, store/blob_store.h).
class DatasetCatalog {
 public:
  DatasetCatalog(store::Database* db, store::BlobStore* blobs,
                 const Clock* clock);

  // The draft's images that are not stored yet, each once, in the draft's
  // order.
  std::vector<std::string> MissingImages(const DatasetDraft& draft) const;

  // Makes a dataset durable and visible. The same content under the same name
  // again returns what is there. FAILED_PRECONDITION (IMAGES_MISSING);
  // ALREADY_EXISTS (DATASET_EXISTS) when the name holds another digest.
  absl::StatusOr<Dataset> Commit(const std::string& tenant,
                                 const DatasetDraft& draft);

  // NOT_FOUND (DATASET_NOT_FOUND).
  absl::StatusOr<Dataset> Get(const std::string& tenant,
                              const std::string& name);
  absl::StatusOr<Dataset> Get(store::Transaction& tx, const std::string& tenant,
                              const std::string& name);
  // Whether the tenant still has a dataset of this content, whatever its name.
  // NOT_FOUND (DATASET_NOT_FOUND).
  absl::Status CheckThere(store::Transaction& tx, const std::string& tenant,
                          const std::string& dataset_digest);
  // Ordered by name; the page token is the last name.
  absl::StatusOr<store::Page<Dataset>> List(const std::string& tenant,
                                            const store::PageRequest& page);
  // Forgets the name; the images stay. FAILED_PRECONDITION (DATASET_IN_USE)
  // while an unfinished job of the tenant needs this digest and no other name
  // holds it; NOT_FOUND (DATASET_NOT_FOUND).
  absl::Status Delete(const std::string& tenant, const std::string& name);

  // The stored manifest of any tenant's dataset with this digest, for workers,
  // which only name datasets of jobs that they hold. NOT_FOUND
  // (DATASET_NOT_FOUND); DATA_LOSS (BLOB_CORRUPT).
  absl::StatusOr<std::string> ManifestJson(const std::string& dataset_digest);

  // How exactly it is known when features were last used.
  static constexpr absl::Duration kFeatureUseStep = absl::Hours(1);

  // The blob bound to a feature recipe's key, if any, which thereby is in use;
  // and its binding, until garbage collection forgets it unused.
  // ALREADY_EXISTS (FEATURES_DIFFER) when the key holds another digest.
  absl::StatusOr<std::optional<std::string>> FindFeatures(
      const std::string& key);
  absl::Status RecordFeatures(const std::string& key,
                              const std::string& digest);

 private:
  store::Database* const db_;
  store::BlobStore* const blobs_;
  const Clock* const clock_;
};

}  // namespace promptd::registry
