#include "wire/rendezvous.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace promptd::wire {
namespace {

using Target = std::shared_ptr<RouteTarget>;

constexpr double kLoadBound = 1.25;

// The finalizer of MurmurHash3: every bit of the input moves every bit.
uint64_t Mix(uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdu;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53u;
  return value ^ (value >> 33);
}

}  // namespace

uint64_t RoutingHash(absl::string_view bytes) {
  uint64_t hash = Mix(bytes.size() + 1);
  while (bytes.size() >= sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof(word));
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
    bytes.remove_prefix(sizeof(word));
  }
  uint64_t rest = 0;
  if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
  return Mix(hash ^ rest);
}

std::vector<Target> RankByHash(std::vector<Target> targets, uint64_t key,
                               int64_t weight) {
  // Loads move under our feet: one look for all comparisons.
  std::vector<std::pair<std::pair<bool, uint64_t>, Target>> ranked;
  int64_t total = weight;
  for (const Target& target : targets) total += target->load;
  const auto bound = static_cast<int64_t>(
      std::ceil(kLoadBound * static_cast<double>(total) /
                static_cast<double>(std::max<size_t>(targets.size(), 1))));
  for (Target& target : targets) {
    const bool full =
        weight > 0 && target->load > 0 && target->load + weight > bound;
    const uint64_t score = Mix(key ^ RoutingHash(target->id));
    ranked.push_back({{full, ~score}, std::move(target)});
  }
  std::sort(ranked.begin(), ranked.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  targets.clear();
  for (auto& [rank, target] : ranked) targets.push_back(std::move(target));
  return targets;
}

std::vector<Target> RankByLoad(std::vector<Target> targets) {
  std::vector<std::pair<int64_t, Target>> ranked;
  for (Target& target : targets) {
    const int64_t load = target->load;
    ranked.emplace_back(load, std::move(target));
  }
  std::stable_sort(
      ranked.begin(), ranked.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  targets.clear();
  for (auto& [load, target] : ranked) targets.push_back(std::move(target));
  return targets;
}

}  // namespace promptd::wire
