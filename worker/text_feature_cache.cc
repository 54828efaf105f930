#include "worker/text_feature_cache.h"

#include <utility>

namespace promptd::worker {
namespace {

int64_t SizeOf(const TextFeatures& features) {
  return static_cast<int64_t>(features->values.size() * sizeof(float));
}

}  // namespace

TextFeatures TextFeatureCache::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  return FindLocked(key);
}

absl::StatusOr<TextFeatures> TextFeatureCache::FindOrLoad(
    const std::string& key,
    const std::function<absl::StatusOr<FloatTensor>()>& load) {
  std::shared_ptr<Loading> loading;
  {
    absl::MutexLock lock(&mutex_);
    if (TextFeatures found = FindLocked(key)) return found;
    std::shared_ptr<Loading>& slot = loading_[key];
    if (slot != nullptr) {
      const std::shared_ptr<Loading> other = slot;
      mutex_.Await(absl::Condition(&other->done));
      return other->result;
    }
    slot = std::make_shared<Loading>();
    loading = slot;
  }
  absl::StatusOr<FloatTensor> loaded = load();
  absl::MutexLock lock(&mutex_);
  if (loaded.ok()) {
    loading->result =
        TextFeatures(std::make_shared<const FloatTensor>(*std::move(loaded)));
    InsertLocked(key, *loading->result);
  } else {
    loading->result = loaded.status();
  }
  loading->done = true;
  loading_.erase(key);
  return loading->result;
}

void TextFeatureCache::Insert(const std::string& key, TextFeatures features) {
  absl::MutexLock lock(&mutex_);
  InsertLocked(key, std::move(features));
}

int64_t TextFeatureCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

TextFeatures TextFeatureCache::FindLocked(const std::string& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->features;
}

void TextFeatureCache::InsertLocked(const std::string& key,
                                    TextFeatures features) {
  if (index_.contains(key)) return;  // content-addressed: the same value
  bytes_ += SizeOf(features);
  entries_.push_front({key, std::move(features)});
  index_[key] = entries_.begin();
  while (bytes_ > max_bytes_ && entries_.size() > 1) {
    bytes_ -= SizeOf(entries_.back().features);
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

}  // namespace promptd::worker
