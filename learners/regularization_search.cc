#include "learners/regularization_search.h"

#include <algorithm>
#include <array>

#include "common/check.h"

namespace promptd::learners {
namespace {

constexpr std::array<double, 7> kGrid = {6, 4, 2, 0, -2, -4, -6};

}  // namespace

double RegularizationSearch::next() const {
  PROMPTD_CHECK(!done());
  if (scored_.size() < kGrid.size()) return kGrid[scored_.size()];
  return left_.correct < 0 ? left_.log10_c : right_.log10_c;
}

void RegularizationSearch::Tell(int64_t correct) {
  PROMPTD_CHECK(!done());
  scored_.push_back(correct);
  if (scored_.size() < kGrid.size()) return;
  if (scored_.size() == kGrid.size()) {
    const auto best = std::max_element(scored_.begin(), scored_.end());
    const double peak = kGrid[static_cast<size_t>(best - scored_.begin())];
    left_ = {peak - 1, -1};
    right_ = {peak + 1, -1};
    return;
  }
  (left_.correct < 0 ? left_ : right_).correct = correct;
  if (left_.correct >= 0 && right_.correct >= 0) Bisect();
}

void RegularizationSearch::Bisect() {
  const End middle{(left_.log10_c + right_.log10_c) / 2, -1};
  if (left_.correct < right_.correct) {
    kept_ = right_;
    left_ = middle;
  } else {
    kept_ = left_;
    right_ = middle;
  }
}

}  // namespace promptd::learners
