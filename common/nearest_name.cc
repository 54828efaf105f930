#include "common/nearest_name.h"

#include <algorithm>
#include <numeric>

namespace promptd {
namespace {

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string NearestName(absl::string_view word,
                        const std::vector<std::string>& choices) {
  std::string best;
  // A third of the word may be wrong, two letters at least.
  int best_distance = std::max(2, static_cast<int>(word.size()) / 3) + 1;
  for (const std::string& choice : choices) {
    const int distance = EditDistance(word, choice);
    if (distance < best_distance &&
        distance < static_cast<int>(std::max(word.size(), choice.size()))) {
      best_distance = distance;
      best = choice;
    }
  }
  return best;
}

}  // namespace promptd
