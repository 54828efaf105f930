#include "datasets/few_shot.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/python_random.h"

namespace promptd::datasets {
namespace {

constexpr int kMaxValidationShots = 4;

// Items of one split by class, classes in order of first appearance.
struct ClassGroups {
  std::vector<std::vector<int>> items;  // [class][...]
  std::vector<int> order;               // classes that have items
};

ClassGroups GroupByClass(const Manifest& manifest, Split split) {
  ClassGroups groups;
  groups.items.resize(manifest.class_names.size());
  for (size_t i = 0; i < manifest.items.size(); ++i) {
    const Item& item = manifest.items[i];
    if (item.split != split) continue;
    std::vector<int>& items =
        groups.items[static_cast<size_t>(item.class_index)];
    if (items.empty()) groups.order.push_back(item.class_index);
    items.push_back(static_cast<int>(i));
  }
  return groups;
}

std::string Images(size_t count) {
  return absl::StrCat(count,
                      count == 1 ? " training image" : " training images");
}

absl::Status ExpectEnough(const Manifest& manifest, const ClassGroups& groups,
                          int shots) {
  std::vector<FieldViolation> violations;
  size_t smallest = static_cast<size_t>(shots);
  for (size_t c = 0; c < groups.items.size(); ++c) {
    const size_t count = groups.items[c].size();
    if (count >= static_cast<size_t>(shots)) continue;
    smallest = std::min(smallest, count);
    violations.push_back(
        {"shots", absl::StrCat("class \"", manifest.class_names[c], "\" has ",
                               Images(count), ", ", shots, " are needed")});
  }
  if (violations.empty()) return absl::OkStatus();
  violations.push_back(
      {"shots", smallest == 0
                    ? std::string("add training images to these classes")
                    : absl::StrCat("use --shots ", smallest,
                                   " or add training images")});
  return InvalidFields("TOO_FEW_IMAGES", violations);
}

std::vector<int> SampleClasses(const ClassGroups& groups, int shots,
                               PythonRandom* random) {
  std::vector<int> picked;
  for (const int class_index : groups.order) {
    const std::vector<int>& items =
        groups.items[static_cast<size_t>(class_index)];
    if (items.size() < static_cast<size_t>(shots)) {
      picked.insert(picked.end(), items.begin(), items.end());
      continue;
    }
    for (const uint32_t at : random->Sample(static_cast<uint32_t>(items.size()),
                                            static_cast<uint32_t>(shots))) {
      picked.push_back(items[at]);
    }
  }
  return picked;
}

}  // namespace

absl::StatusOr<FewShotSplit> SampleFewShot(const Manifest& manifest, int shots,
                                           int64_t seed) {
  if (shots <= 0) {
    return InvalidFields(
        "INVALID_SHOTS",
        {{"shots", absl::StrCat(shots,
                                " images a class are none: use 1 or "
                                "more, for example 16")}});
  }
  const ClassGroups train = GroupByClass(manifest, Split::kTrain);
  RETURN_IF_ERROR(ExpectEnough(manifest, train, shots));
  PythonRandom random(seed);
  FewShotSplit split;
  split.train = SampleClasses(train, shots, &random);
  split.val = SampleClasses(GroupByClass(manifest, Split::kVal),
                            std::min(shots, kMaxValidationShots), &random);
  return split;
}

}  // namespace promptd::datasets
