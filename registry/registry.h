// The registry's three parts over one database and one blob store.
#pragma once

#include "common/clock.h"
#include "registry/dataset_catalog.h"
#include "registry/prompt_registry.h"
#include "registry/push_sessions.h"
#include "store/blob_store.h"
#include "store/database.h"

namespace promptd::registry {

// Thread-safe; the pointers are borrowed and must outlive it.
class Registry {
 public:
  Registry(store::Database* db, store::BlobStore* blobs, const Clock* clock,
           PushLimits push_limits = {})
      : pushes_(clock, push_limits),
        datasets_(db, blobs, clock),
        prompts_(db, blobs, clock) {}

  PushSessions& pushes() { return pushes_; }
  DatasetCatalog& datasets() { return datasets_; }
  PromptRegistry& prompts() { return prompts_; }

 private:
  PushSessions pushes_;
  DatasetCatalog datasets_;
  PromptRegistry prompts_;
};

}  // namespace promptd::registry
