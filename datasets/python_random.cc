#include "datasets/python_random.h"

#include <algorithm>
#include <numeric>

#include "absl/container/flat_hash_set.h"
#include "common/check.h"

namespace promptd::datasets {
namespace {

int BitLength(uint32_t value) {
  int bits = 0;
  for (; value != 0; value >>= 1) ++bits;
  return bits;
}

// Up to this population, CPython's sample copies it instead of remembering
// what it drew. The rule estimates which takes less memory.
uint64_t CopyUpTo(uint32_t count) {
  uint64_t set_size = 21;
  if (count <= 5) return set_size;
  uint64_t table = 1;
  while (table < uint64_t{count} * 3) table *= 4;
  return set_size + table;
}

}  // namespace

PythonRandom::PythonRandom(int64_t seed) {
  uint64_t magnitude = static_cast<uint64_t>(seed);
  if (seed < 0) magnitude = 0 - magnitude;
  std::vector<uint32_t> key = {static_cast<uint32_t>(magnitude)};
  if (magnitude >> 32 != 0) key.push_back(magnitude >> 32);
  SeedWithArray(key);
}

// init_by_array of the MT19937 reference (Matsumoto and Nishimura, 2002).
void PythonRandom::SeedWithArray(const std::vector<uint32_t>& key) {
  const auto mixed = [this](size_t i) {
    return state_[i - 1] ^ (state_[i - 1] >> 30);
  };
  state_[0] = 19650218;
  for (size_t i = 1; i < kStateWords; ++i) {
    state_[i] = 1812433253u * mixed(i) + static_cast<uint32_t>(i);
  }
  size_t i = 1;
  const auto advance = [this, &i] {
    if (++i == kStateWords) {
      state_[0] = state_[kStateWords - 1];
      i = 1;
    }
  };
  size_t j = 0;
  for (size_t k = std::max(kStateWords, key.size()); k > 0; --k) {
    state_[i] =
        (state_[i] ^ (mixed(i) * 1664525u)) + key[j] + static_cast<uint32_t>(j);
    advance();
    j = (j + 1) % key.size();
  }
  for (size_t k = kStateWords - 1; k > 0; --k) {
    state_[i] =
        (state_[i] ^ (mixed(i) * 1566083941u)) - static_cast<uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
  next_ = kStateWords;
}

void PythonRandom::Refill() {
  constexpr size_t kShift = 397;
  for (size_t i = 0; i < kStateWords; ++i) {
    const uint32_t joined = (state_[i] & 0x80000000u) |
                            (state_[(i + 1) % kStateWords] & 0x7fffffffu);
    state_[i] = state_[(i + kShift) % kStateWords] ^ (joined >> 1) ^
                ((joined & 1) != 0 ? 0x9908b0dfu : 0);
  }
  next_ = 0;
}

uint32_t PythonRandom::NextWord() {
  if (next_ == kStateWords) Refill();
  uint32_t word = state_[next_++];
  word ^= word >> 11;
  word ^= (word << 7) & 0x9d2c5680u;
  word ^= (word << 15) & 0xefc60000u;
  return word ^ (word >> 18);
}

uint32_t PythonRandom::GetRandBits(int bits) {
  PROMPTD_CHECK(bits >= 1 && bits <= 32);
  return NextWord() >> (32 - bits);
}

uint32_t PythonRandom::RandBelow(uint32_t limit) {
  PROMPTD_CHECK(limit >= 1);
  const int bits = BitLength(limit);
  uint32_t value = GetRandBits(bits);
  while (value >= limit) value = GetRandBits(bits);
  return value;
}

std::vector<uint32_t> PythonRandom::Sample(uint32_t size, uint32_t count) {
  PROMPTD_CHECK(count <= size);
  std::vector<uint32_t> picked;
  picked.reserve(count);
  if (size <= CopyUpTo(count)) {
    std::vector<uint32_t> pool(size);
    std::iota(pool.begin(), pool.end(), 0);
    for (uint32_t left = size; picked.size() < count; --left) {
      const uint32_t at = RandBelow(left);
      picked.push_back(pool[at]);
      pool[at] = pool[left - 1];
    }
    return picked;
  }
  absl::flat_hash_set<uint32_t> seen;
  while (picked.size() < count) {
    uint32_t at = RandBelow(size);
    while (!seen.insert(at).second) at = RandBelow(size);
    picked.push_back(at);
  }
  return picked;
}

}  // namespace promptd::datasets
