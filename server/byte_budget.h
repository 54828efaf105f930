// A number of bytes that several streams share.
#pragma once

#include <atomic>
#include <cstdint>

namespace promptd::server {

// Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t most) : most_(most) {}

  // False when it would pass the bound; nothing is taken then.
  bool TryTake(int64_t bytes) {
    if (taken_.fetch_add(bytes) + bytes <= most_) return true;
    taken_.fetch_sub(bytes);
    return false;
  }
  void Give(int64_t bytes) { taken_.fetch_sub(bytes); }

 private:
  const int64_t most_;
  std::atomic<int64_t> taken_ = 0;
};

}  // namespace promptd::server
