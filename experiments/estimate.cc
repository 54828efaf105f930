#include "experiments/estimate.h"

#include "absl/strings/str_cat.h"

namespace promptd::experiments {
namespace {

struct Mean {
  double sum = 0;
  int count = 0;
};

// From the most alike to all.
std::vector<std::string> GroupsOf(const Member& member) {
  return {absl::StrCat(member.encoder, "+", member.method, "+", member.shots),
          absl::StrCat("+", member.method), ""};
}

}  // namespace

std::optional<absl::Duration> EstimateLeft(
    const Plan& plan, const std::map<std::string, MemberResult>& results) {
  std::map<std::string, Mean> groups;
  for (const Member& member : plan.members) {
    const auto result = results.find(member.key);
    if (result == results.end() || result->second.failed()) continue;
    for (const std::string& group : GroupsOf(member)) {
      groups[group].sum += result->second.Seconds();
      ++groups[group].count;
    }
  }
  if (groups.empty()) return std::nullopt;
  double seconds = 0;
  for (const Member& member : plan.members) {
    if (results.count(member.key) > 0) continue;
    for (const std::string& group : GroupsOf(member)) {
      const auto found = groups.find(group);
      if (found == groups.end()) continue;
      seconds += found->second.sum / found->second.count;
      break;
    }
  }
  return absl::Seconds(seconds);
}

}  // namespace promptd::experiments
