// Values by key within a budget of bytes; the least recently used goes first.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

#include "absl/hash/hash.h"

namespace promptd {

// `Key` is what absl::Hash takes, or brings `Hash`. Thread-compatible.
template <typename Key, typename Value, typename Hash = absl::Hash<Key>>
class Lru {
 public:
  explicit Lru(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // The value, now the most recently used; nullptr when it is not there. Valid
  // until the next Insert.
  Value* Find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->value;
  }

  // Puts a value in place of what the key had. Returns how many others had to
  // go; one that is larger than the whole budget is not kept.
  int64_t Insert(const Key& key, Value value, int64_t bytes) {
    Erase(key);
    if (bytes > max_bytes_) return 0;
    entries_.push_front({key, std::move(value), bytes});
    index_[key] = entries_.begin();
    bytes_ += bytes;
    int64_t evicted = 0;
    for (; bytes_ > max_bytes_; ++evicted) Erase(Key(entries_.back().key));
    return evicted;
  }

  void Erase(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    bytes_ -= found->second->bytes;
    entries_.erase(found->second);
    index_.erase(found);
  }

  // Without using it.
  bool Holds(const Key& key) const { return index_.count(key) > 0; }

  int64_t bytes() const { return bytes_; }
  int64_t size() const { return static_cast<int64_t>(index_.size()); }

 private:
  struct Entry {
    Key key;
    Value value;
    int64_t bytes;
  };

  const int64_t max_bytes_;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<Key, typename std::list<Entry>::iterator, Hash> index_;
  int64_t bytes_ = 0;
};

}  // namespace promptd
