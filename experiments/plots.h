// An experiment's figures. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "experiments/chart.h"
#include "experiments/study.h"

namespace promptd::experiments {

struct NamedFigure {
  std::string name;  // of the file, without its ending
  Figure figure;
  bool detail = false;  // a panel of another figure, alone
};

// Few-shot: accuracy over shots, the average and each dataset, zero-shot as a
// star at 0, as in the paper's figure 3. Context length: accuracy over M, of
// averages and of the source. The others: bars. Nothing that has no result is
// drawn; a figure without any result is left out.
std::vector<NamedFigure> FiguresOf(const Study& study);

}  // namespace promptd::experiments
