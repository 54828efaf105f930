// What the ways to adapt a frozen CLIP have in common and what tells them
// apart: the table that requests are checked with, and that learners and
// messages take the names from.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace promptd {

struct MethodTraits {
  absl::string_view name;
  absl::string_view summary;  // one line for help texts
  // Learns context vectors: M, words, position, class-specific, a context to
  // start from, other classes afterwards.
  bool context = false;
  // Starts from the text features of TrainingSpec.text_templates.
  bool text_templates = false;
  // Learns by SGD steps: epochs, batch, rates, views, selection.
  bool steps = false;
  // Takes `class_specific`.
  bool class_specific = false;
  // Looks at few-shot training images at all.
  bool shots = true;
  // Takes `inverse_regularization`.
  bool regularized = false;
  // Learns from pixels and changes the image tower itself, so that a version's
  // images are encoded for it alone.
  bool image_tower = false;
};

// In alphabetical order.
inline constexpr std::array<MethodTraits, 7> kMethods = {{
    {.name = "class_prior",
     .summary = "zero-shot and a learned bias for every class",
     .text_templates = true},
    {.name = "coop",
     .summary = "learned context vectors around the class names",
     .context = true,
     .steps = true,
     .class_specific = true},
    {.name = "image_encoder",
     .summary = "the image tower itself, fine-tuned",
     .text_templates = true,
     .steps = true,
     .image_tower = true},
    {.name = "linear_probe",
     .summary = "logistic regression on image features",
     .regularized = true},
    {.name = "text_bias",
     .summary = "a learned bias on the text features",
     .text_templates = true,
     .steps = true,
     .class_specific = true},
    {.name = "text_transform",
     .summary = "a learned linear map of the text features",
     .text_templates = true,
     .steps = true},
    {.name = "zero_shot",
     .summary = "the mean text feature of one or several templates",
     .text_templates = true,
     .shots = false},
}};

// Null when no method has this name.
constexpr const MethodTraits* FindMethod(absl::string_view name) {
  for (const MethodTraits& method : kMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

constexpr bool LearnsContext(absl::string_view method) {
  const MethodTraits* const found = FindMethod(method);
  return found != nullptr && found->context;
}

inline std::vector<std::string> MethodNames() {
  std::vector<std::string> names;
  names.reserve(kMethods.size());
  for (const MethodTraits& method : kMethods) names.emplace_back(method.name);
  return names;
}

}  // namespace promptd
