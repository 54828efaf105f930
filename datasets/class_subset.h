// Which of a dataset's classes a job takes.
#pragma once

#include "common/training_options.h"

namespace promptd::datasets {

// Consecutive class indexes: first .. first+count-1.
struct ClassRange {
  int first = 0;
  int count = 0;

  bool Contains(int class_index) const {
    return class_index >= first && class_index < first + count;
  }
};

// Base classes are the first half, rounded up (Dassl's
// subsample_classes: m = ceil(n / 2)). The new ones of a single class are none.
inline ClassRange RangeOf(ClassSubset subset, int classes) {
  const int base = (classes + 1) / 2;
  switch (subset) {
    case ClassSubset::kAll:
      return {0, classes};
    case ClassSubset::kBase:
      return {0, base};
    case ClassSubset::kNew:
      return {base, classes - base};
  }
  return {0, classes};
}

}  // namespace promptd::datasets
