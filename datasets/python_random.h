// CPython's random.Random, as far as few-shot sampling uses it: the same seed
// gives the same numbers as CPython 3.11, bit for bit. Published few-shot
// splits can be made again only with these.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace promptd::datasets {

// Mersenne Twister MT19937, seeded as random.seed(int) seeds it.
// Thread-compatible.
class PythonRandom {
 public:
  // As in CPython the sign of the seed is dropped: -1 seeds like 1.
  explicit PythonRandom(int64_t seed);

  // random.getrandbits(bits), 1 <= bits <= 32.
  uint32_t GetRandBits(int bits);

  // A number below `limit`, as random's methods draw one; limit >= 1.
  uint32_t RandBelow(uint32_t limit);

  // The indexes that random.sample(population, count) picks from a population
  // of `size`, in its order; 0 <= count <= size.
  std::vector<uint32_t> Sample(uint32_t size, uint32_t count);

 private:
  static constexpr size_t kStateWords = 624;

  void SeedWithArray(const std::vector<uint32_t>& key);
  uint32_t NextWord();
  void Refill();

  std::array<uint32_t, kStateWords> state_;
  size_t next_ = kStateWords;
};

}  // namespace promptd::datasets
