// Which C a linear probe takes, by its accuracy on validation images. No torch.
//
//   RegularizationSearch search;
//   while (!search.done()) search.Tell(CorrectWith(search.next()));
//   search.chosen();
#pragma once

#include <cstdint>
#include <vector>

namespace promptd::learners {

// The protocol of CoOp's linear probe (lpclip/linear_probe.py): the grid 1e6,
// 1e4, .. 1e-6, of which the first of the best is the peak; then 8 bisection
// steps in log10 C between peak / 10 and peak * 10, each of which keeps the
// end with more right answers, the smaller C of equals, and moves the other
// one to the middle. The last one kept is chosen. A kept end is not fitted
// again: 16 fits.
class RegularizationSearch {
 public:
  static constexpr int kFits = 16;

  bool done() const { return static_cast<int>(scored_.size()) == kFits; }
  // log10 of the C to fit now. Until done.
  double next() const;
  // Right answers on the validation images with next().
  void Tell(int64_t correct);

  // What Tell was told, in order: the search's whole state.
  const std::vector<int64_t>& scored() const { return scored_; }
  // log10 of the C that was kept, and its right answers. Once done.
  double chosen() const { return kept_.log10_c; }
  int64_t chosen_correct() const { return kept_.correct; }

 private:
  struct End {
    double log10_c = 0;
    int64_t correct = -1;  // not known
  };

  void Bisect();

  std::vector<int64_t> scored_;
  End left_, right_, kept_;
};

}  // namespace promptd::learners
