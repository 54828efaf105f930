// The versions that recent requests meant, without asking the database again.
//
// A version never changes, so it is kept as it is; what may change is which one
// a name means. The registry counts those changes (PromptRegistry::Revision),
// and a name that was looked up before the last of them is looked up again: a
// request never gets a version that was not current at some moment of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/lru.h"
#include "registry/prompt_registry.h"

namespace promptd::server {

// What a request needs of its version.
struct PinnedVersion {
  int64_t version = 0;
  std::string digest;
  std::string encoder_digest;
  std::string features_digest;
  // Digest of the image tower that the version has of its own; empty: its
  // images go through the encoder's.
  std::string image_tower;
  std::vector<std::string> class_names;
};

// Held by a request from its start to its reply.
using VersionPin = std::shared_ptr<const PinnedVersion>;

// An error that says that stored bytes are damaged or gone, with the name of
// the version that needs them before its message; another error as it is, and
// any when there is no version (0).
absl::Status NameDamage(const absl::Status& status, const std::string& task,
                        int64_t version);

// Bounded in bytes, the least recently used goes first. Thread-safe.
class VersionPins {
 public:
  // `prompts` must outlive this.
  explicit VersionPins(registry::PromptRegistry* prompts,
                       int64_t max_bytes = int64_t{128} << 20);

  // Errors as PromptRegistry::GetVersion; INTERNAL (BAD_STORED_SPEC).
  absl::StatusOr<VersionPin> ByNumber(const std::string& tenant,
                                      const std::string& task, int64_t version);
  // Errors as PromptRegistry::GetVersionByAlias; INTERNAL (BAD_STORED_SPEC).
  absl::StatusOr<VersionPin> ByAlias(const std::string& tenant,
                                     const std::string& task,
                                     const std::string& alias);

  // What those would return, if it is in memory; null otherwise.
  VersionPin KnownByNumber(const std::string& tenant, const std::string& task,
                           int64_t version);
  VersionPin KnownByAlias(const std::string& tenant, const std::string& task,
                          const std::string& alias);

  // What Select() would return, if that is in memory; null otherwise.
  template <typename Request>
  VersionPin Known(const std::string& tenant, const Request& request) {
    return request.selector_case() == Request::kVersion
               ? KnownByNumber(tenant, request.task(), request.version())
               : KnownByAlias(tenant, request.task(), request.alias());
  }

  // `Request` has a task and the oneof `selector` of version and alias.
  template <typename Request>
  absl::StatusOr<VersionPin> Select(const std::string& tenant,
                                    const Request& request) {
    if (request.selector_case() == Request::kVersion) {
      return ByNumber(tenant, request.task(), request.version());
    }
    return ByAlias(tenant, request.task(), request.alias());
  }

 private:
  // Tenant, task, and the alias (version 0) or the number (alias empty).
  using Name = std::tuple<std::string, std::string, std::string, int64_t>;
  struct Entry {
    VersionPin pin;
    uint64_t revision = 0;  // of the registry, before it was looked up
  };

  static Name NameOf(const std::string& tenant, const std::string& task,
                     int64_t version);
  static Name NameOf(const std::string& tenant, const std::string& task,
                     const std::string& alias);
  // Null when it is not here, or was looked up before `revision`.
  VersionPin Kept(const Name& name, uint64_t revision);
  absl::StatusOr<VersionPin> Find(
      const Name& name,
      absl::FunctionRef<absl::StatusOr<registry::PromptVersion>()> look_up);

  registry::PromptRegistry* const prompts_;
  absl::Mutex mutex_;
  Lru<Name, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::server
