#include "worker/observer.h"

namespace promptd::worker {

absl::string_view StageName(Stage stage) {
  switch (stage) {
    case Stage::kHash:
      return "hash";
    case Stage::kDecode:
      return "decode";
    case Stage::kQueue:
      return "queue";
    case Stage::kEncode:
      return "encode";
    case Stage::kHead:
      return "head";
  }
  return "unknown";
}

absl::string_view CacheName(Cache cache) {
  return cache == Cache::kEmbedding ? "embedding" : "text_features";
}

absl::string_view CacheUseName(CacheUse use) {
  switch (use) {
    case CacheUse::kBypass:
      return "bypass";
    case CacheUse::kHit:
      return "hit";
    case CacheUse::kJoin:
      return "join";
    case CacheUse::kMiss:
      return "miss";
  }
  return "unknown";
}

absl::string_view RejectionName(Rejection rejection) {
  static constexpr absl::string_view kNames[] = {
      "tenant_quota", "queue_full", "deadline_unmeetable", "draining"};
  static_assert(std::size(kNames) == kRejections);
  return kNames[static_cast<size_t>(rejection)];
}

absl::string_view CheckpointName(Checkpoint checkpoint) {
  static constexpr absl::string_view kNames[] = {
      "admission", "decode", "decoded", "encode", "head", "reply"};
  static_assert(std::size(kNames) == kCheckpoints);
  return kNames[static_cast<size_t>(checkpoint)];
}

}  // namespace promptd::worker
