#include "registry/push_sessions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/id.h"

namespace promptd::registry {
namespace {

// What a draft costs in memory, roughly; a digest is 64 characters on the
// heap.
int64_t DraftBytes(const DatasetDraft& draft) {
  size_t bytes = draft.manifest_json.size() + draft.image_digests.size() * 112;
  for (const std::string& name : draft.class_names) bytes += name.size() + 32;
  return static_cast<int64_t>(bytes);
}

absl::Status TooMany(absl::string_view what) {
  return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_PUSHES",
                   absl::StrCat(what,
                                ": commit or wait for one to expire, "
                                "then push again"));
}

}  // namespace

PushSessions::PushSessions(const Clock* clock, PushLimits limits)
    : clock_(clock), limits_(limits) {}

absl::StatusOr<std::string> PushSessions::Begin(const std::string& tenant,
                                                DatasetDraft draft) {
  std::sort(draft.image_digests.begin(), draft.image_digests.end());
  draft.image_digests.erase(
      std::unique(draft.image_digests.begin(), draft.image_digests.end()),
      draft.image_digests.end());
  Push push;
  push.tenant = tenant;
  push.bytes = DraftBytes(draft);
  push.draft = std::make_shared<const DatasetDraft>(std::move(draft));
  absl::MutexLock lock(&mutex_);
  DropExpired();
  const auto of_tenant = std::count_if(
      pushes_.begin(), pushes_.end(),
      [&tenant](const auto& entry) { return entry.second.tenant == tenant; });
  if (of_tenant >= limits_.max_pushes_tenant) {
    return TooMany(absl::StrCat(of_tenant, " pushes are open"));
  }
  if (pushes_.size() >= static_cast<size_t>(limits_.max_pushes)) {
    return TooMany("the server holds as many pushes as it can");
  }
  if (bytes_ + push.bytes > limits_.max_bytes) {
    return TooMany("the manifests of all open pushes are too large together");
  }
  push.last_use = clock_->Now();
  bytes_ += push.bytes;
  std::string id = NewUuid();
  pushes_.emplace(id, std::move(push));
  return id;
}

absl::StatusOr<std::shared_ptr<const DatasetDraft>> PushSessions::Get(
    const std::string& tenant, const std::string& push_id) {
  absl::MutexLock lock(&mutex_);
  DropExpired();
  const auto found = pushes_.find(push_id);
  if (found == pushes_.end() || found->second.tenant != tenant) {
    return MakeError(absl::StatusCode::kNotFound, "PUSH_NOT_FOUND",
                     absl::StrCat("no push \"", push_id,
                                  "\" is open: push the dataset again; images "
                                  "that arrived are not sent twice"));
  }
  found->second.last_use = clock_->Now();
  return found->second.draft;
}

bool PushSessions::NamesImage(const DatasetDraft& draft,
                              const std::string& digest) {
  return std::binary_search(draft.image_digests.begin(),
                            draft.image_digests.end(), digest);
}

void PushSessions::End(const std::string& tenant, const std::string& push_id) {
  absl::MutexLock lock(&mutex_);
  const auto found = pushes_.find(push_id);
  if (found == pushes_.end() || found->second.tenant != tenant) return;
  bytes_ -= found->second.bytes;
  pushes_.erase(found);
}

void PushSessions::DropExpired() {
  const absl::Time oldest = clock_->Now() - limits_.ttl;
  for (auto push = pushes_.begin(); push != pushes_.end();) {
    if (push->second.last_use >= oldest) {
      ++push;
      continue;
    }
    bytes_ -= push->second.bytes;
    push = pushes_.erase(push);
  }
}

}  // namespace promptd::registry
