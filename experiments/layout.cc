#include "experiments/layout.h"

#include <algorithm>
#include <set>

namespace promptd::experiments {
namespace {

Column AverageOf(const std::string& label, const std::vector<Column>& columns) {
  Column out;
  out.label = label;
  out.average = true;
  for (const Column& column : columns) {
    out.datasets.insert(out.datasets.end(), column.datasets.begin(),
                        column.datasets.end());
  }
  return out;
}

}  // namespace

std::vector<Column> TaskColumns(const Plan& plan) {
  std::vector<Column> columns;
  for (const PlanDataset& dataset : plan.datasets) {
    if (dataset.target || dataset.source) continue;
    columns.push_back({dataset.name, {{dataset.name, dataset.name}}});
  }
  if (columns.size() > 1) columns.push_back(AverageOf("Average", columns));
  return columns;
}

std::vector<Column> DomainColumns(const Plan& plan) {
  std::string source;
  std::vector<Column> targets, unseen;
  for (const PlanDataset& dataset : plan.datasets) {
    if (dataset.source) source = dataset.name;
  }
  for (const PlanDataset& dataset : plan.datasets) {
    if (!dataset.target) continue;
    targets.push_back({dataset.name, {{source, dataset.name}}});
    if (dataset.unseen_style) unseen.push_back(targets.back());
  }
  if (source.empty()) return {};
  std::vector<Column> columns = {{source, {{source, source}}}};
  columns.insert(columns.end(), targets.begin(), targets.end());
  if (targets.size() > 1) {
    columns.push_back(AverageOf("Target average", targets));
  }
  if (unseen.size() > 1 && unseen.size() < targets.size()) {
    columns.push_back(AverageOf("Unseen styles", unseen));
  }
  return columns;
}

std::vector<PlanMethod> MethodsOn(const Plan& plan,
                                  const std::string& dataset) {
  std::set<std::string> keys;
  for (const Member& member : plan.members) {
    if (member.dataset == dataset) keys.insert(member.method);
  }
  std::vector<PlanMethod> methods;
  for (const PlanMethod& method : plan.methods) {
    if (keys.count(method.key) > 0) methods.push_back(method);
  }
  return methods;
}

bool Learns(const Plan& plan, const std::string& method) {
  return std::any_of(plan.members.begin(), plan.members.end(),
                     [&](const Member& member) {
                       return member.method == method && member.shots > 0;
                     });
}

std::optional<Summary> Cell(const Study& study, const Column& column,
                            const std::string& encoder,
                            const std::string& method, std::optional<int> shots,
                            Measure measure) {
  std::vector<Slice> slices;
  for (const auto& [learned, scored] : column.datasets) {
    slices.push_back({learned, encoder, method, scored, shots});
  }
  return study.Average(slices, measure);
}

}  // namespace promptd::experiments
