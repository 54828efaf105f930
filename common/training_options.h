// The choices of a training job that have names: one spelling for requests,
// stored specifications and messages.
#pragma once

#include <array>
#include <optional>

#include "absl/strings/string_view.h"

namespace promptd {

// Where the class name stands among the learned context vectors, as in CoOp's
// CLASS_TOKEN_POSITION: behind them, behind the first half of them, or before
// them. The full stop always stands last.
enum class ClassPosition { kEnd, kMiddle, kFront };

// Which parameter becomes the version: the one after the last step, or the one
// with the best accuracy on few-shot validation images, seen after each epoch.
enum class Selection { kLastStep, kBestValidation };

// Which of a dataset's classes take part: all, the first half of them rounded
// up, or the rest (Dassl's SUBSAMPLE_CLASSES).
enum class ClassSubset { kAll, kBase, kNew };

// Names in the order of the enumerators.
template <typename Choice>
struct ChoiceNames;
template <>
struct ChoiceNames<ClassPosition> {
  static constexpr std::array<absl::string_view, 3> kNames = {"end", "middle",
                                                              "front"};
};
template <>
struct ChoiceNames<Selection> {
  static constexpr std::array<absl::string_view, 2> kNames = {
      "last_step", "best_validation"};
};
template <>
struct ChoiceNames<ClassSubset> {
  static constexpr std::array<absl::string_view, 3> kNames = {"all", "base",
                                                              "new"};
};

template <typename Choice>
absl::string_view ChoiceName(Choice choice) {
  return ChoiceNames<Choice>::kNames[static_cast<size_t>(choice)];
}

// Nothing when no choice has this name.
template <typename Choice>
std::optional<Choice> ChoiceFromName(absl::string_view name) {
  const auto& names = ChoiceNames<Choice>::kNames;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<Choice>(i);
  }
  return std::nullopt;
}

}  // namespace promptd
