// How many images of a dataset a job has to do with.
#pragma once

#include <cstdint>
#include <numeric>
#include <string>

#include "datasets/class_subset.h"
#include "registry/records.h"

namespace promptd::server {

// Images of the classes that take part in a split; 0 when there is no such
// split.
inline int64_t ImagesIn(const registry::Dataset& dataset,
                        const std::string& split,
                        const datasets::ClassRange& classes) {
  for (const registry::SplitCount& count : dataset.splits) {
    if (count.split != split) continue;
    const auto first = count.images_per_class.begin() + classes.first;
    return std::accumulate(first, first + classes.count, int64_t{0});
  }
  return 0;
}

}  // namespace promptd::server
