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

}  // namespace promptd::worker
