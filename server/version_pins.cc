#include "server/version_pins.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "worker/training_spec.h"

namespace promptd::server {
namespace {

// What an entry takes beside its texts: nodes, key, counts.
constexpr int64_t kEntryOverhead = 512;

int64_t SizeOf(const PinnedVersion& version) {
  int64_t bytes = kEntryOverhead;
  for (const std::string* text :
       {&version.digest, &version.encoder_digest, &version.features_digest,
        &version.image_tower}) {
    bytes += static_cast<int64_t>(text->capacity());
  }
  for (const std::string& name : version.class_names) {
    bytes += static_cast<int64_t>(sizeof(name) + name.capacity());
  }
  return bytes;
}

absl::StatusOr<VersionPin> PinOf(registry::PromptVersion version) {
  ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                   worker::TrainingSpecFromJson(version.spec_json));
  const MethodTraits* const method = FindMethod(spec.method);
  PinnedVersion pinned;
  pinned.version = version.version;
  pinned.digest = std::move(version.digest);
  pinned.encoder_digest = std::move(version.encoder_digest);
  pinned.features_digest = std::move(version.features_digest);
  if (method != nullptr && method->image_tower) {
    pinned.image_tower = std::move(version.context_digest);
  }
  pinned.class_names = std::move(version.class_names);
  return std::make_shared<const PinnedVersion>(std::move(pinned));
}

}  // namespace

absl::Status NameDamage(const absl::Status& status, const std::string& task,
                        int64_t version) {
  const bool damage =
      absl::IsDataLoss(status) || ErrorReason(status) == "BLOB_NOT_FOUND";
  if (!damage || version == 0) return status;
  return Annotate(status, absl::StrCat("version ", task, ":", version,
                                       " cannot be served"));
}

VersionPins::VersionPins(registry::PromptRegistry* prompts, int64_t max_bytes)
    : prompts_(prompts), entries_(max_bytes) {}

absl::StatusOr<VersionPin> VersionPins::ByNumber(const std::string& tenant,
                                                 const std::string& task,
                                                 int64_t version) {
  return Find(NameOf(tenant, task, version),
              [&] { return prompts_->GetVersion(tenant, task, version); });
}

absl::StatusOr<VersionPin> VersionPins::ByAlias(const std::string& tenant,
                                                const std::string& task,
                                                const std::string& alias) {
  return Find(NameOf(tenant, task, alias),
              [&] { return prompts_->GetVersionByAlias(tenant, task, alias); });
}

VersionPin VersionPins::KnownByNumber(const std::string& tenant,
                                      const std::string& task,
                                      int64_t version) {
  return Kept(NameOf(tenant, task, version), prompts_->Revision());
}

VersionPin VersionPins::KnownByAlias(const std::string& tenant,
                                     const std::string& task,
                                     const std::string& alias) {
  return Kept(NameOf(tenant, task, alias), prompts_->Revision());
}

VersionPins::Name VersionPins::NameOf(const std::string& tenant,
                                      const std::string& task,
                                      int64_t version) {
  return {tenant, task, "", version};
}

VersionPins::Name VersionPins::NameOf(const std::string& tenant,
                                      const std::string& task,
                                      const std::string& alias) {
  return {tenant, task,
          alias.empty() ? std::string(registry::kProductionAlias) : alias, 0};
}

VersionPin VersionPins::Kept(const Name& name, uint64_t revision) {
  absl::MutexLock lock(&mutex_);
  const Entry* const entry = entries_.Find(name);
  if (entry == nullptr || entry->revision != revision) return nullptr;
  return entry->pin;
}

absl::StatusOr<VersionPin> VersionPins::Find(
    const Name& name,
    absl::FunctionRef<absl::StatusOr<registry::PromptVersion>()> look_up) {
  // Read before looking: a change meanwhile makes the entry stale at once.
  const uint64_t revision = prompts_->Revision();
  if (VersionPin kept = Kept(name, revision)) return kept;
  ASSIGN_OR_RETURN(registry::PromptVersion version, look_up());
  ASSIGN_OR_RETURN(VersionPin pin, PinOf(std::move(version)));
  absl::MutexLock lock(&mutex_);
  entries_.Insert(name, {pin, revision}, SizeOf(*pin));
  return pin;
}

}  // namespace promptd::server
