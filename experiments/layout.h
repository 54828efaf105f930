// What tables and plots of an experiment show: the slices behind their cells.
// Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/study.h"

namespace promptd::experiments {

// A column (or a group of bars): one dataset, or the average of several.
struct Column {
  std::string label;
  std::vector<std::pair<std::string, std::string>> datasets;  // learned, scored
  bool average = false;
};

// The trained-on datasets that are no source of targets, then their average.
std::vector<Column> TaskColumns(const Plan& plan);
// The source, its targets, the average of the targets and, where they are
// only some of them, of those in an unseen style.
std::vector<Column> DomainColumns(const Plan& plan);

// Methods in the plan's order that have members on `dataset`.
std::vector<PlanMethod> MethodsOn(const Plan& plan, const std::string& dataset);
// Whether the method's members look at training images.
bool Learns(const Plan& plan, const std::string& method);

std::optional<Summary> Cell(const Study& study, const Column& column,
                            const std::string& encoder,
                            const std::string& method, std::optional<int> shots,
                            Measure measure);

}  // namespace promptd::experiments
