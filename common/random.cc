#include "common/random.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace promptd {

Random::Random(uint64_t seed) {
  for (uint64_t& word : words_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    word = mixed ^ (mixed >> 31);
  }
}

uint64_t Random::Next() {
  const uint64_t result = std::rotl(words_[1] * 5, 7) * 9;
  const uint64_t shifted = words_[1] << 17;
  words_[2] ^= words_[0];
  words_[3] ^= words_[1];
  words_[1] ^= words_[2];
  words_[0] ^= words_[3];
  words_[2] ^= shifted;
  words_[3] = std::rotl(words_[3], 45);
  return result;
}

uint64_t Random::Below(uint64_t bound) {
  // Values from the last, incomplete run of multiples are drawn again.
  const uint64_t reject_below = (0 - bound) % bound;
  while (true) {
    const uint64_t value = Next();
    if (value >= reject_below) return value % bound;
  }
}

double Random::Uniform() {
  return static_cast<double>(Next() >> 11) * 0x1.0p-53;
}

double Random::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  return radius * std::cos(2 * std::numbers::pi * Uniform());
}

std::vector<int64_t> Random::Permutation(int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (size_t last = order.size(); last > 1; --last) {
    std::swap(order[last - 1], order[Below(last)]);
  }
  return order;
}

std::string Random::State() const {
  std::string state;
  for (const uint64_t word : words_) {
    absl::StrAppend(&state, absl::Hex(word, absl::kZeroPad16));
  }
  return state;
}

std::optional<Random> Random::FromState(absl::string_view state) {
  Random random(0);
  bool any = false;
  bool good = state.size() == 64;
  for (size_t i = 0; good && i < 4; ++i) {
    good = absl::SimpleHexAtoi(state.substr(16 * i, 16), &random.words_[i]);
    any = any || random.words_[i] != 0;
  }
  if (!good || !any) return std::nullopt;
  return random;
}

}  // namespace promptd
