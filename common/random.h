// Random numbers that a result depends on: small, portable, and with a state
// that can be kept.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace promptd {

// xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. The
// numbers depend on nothing but the seed: not on the machine, nor on a
// library's version. Thread-compatible.
class Random {
 public:
  explicit Random(uint64_t seed);

  // 64 random bits.
  uint64_t Next();
  // Uniform in 0 .. bound-1, without bias; bound must be positive.
  uint64_t Below(uint64_t bound);
  // Uniform in [0, 1), 53 bits.
  double Uniform();
  // Standard normal, by Box and Muller's cosine branch: two draws each.
  double Normal();
  // A uniform permutation of 0 .. count-1 (Fisher-Yates from the end).
  std::vector<int64_t> Permutation(int64_t count);

  // 64 hexadecimal digits; nothing when they are no state of a generator.
  std::string State() const;
  static std::optional<Random> FromState(absl::string_view state);

 private:
  std::array<uint64_t, 4> words_;
};

}  // namespace promptd
