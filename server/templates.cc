#include "server/templates.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "datasets/name_rules.h"

namespace promptd::server {

const std::vector<std::string>& BundledTemplates() {
  static const auto* const kTemplates = new std::vector<std::string>{
      "a photo of a {}.",   "{}",
      "a drawing of a {}.", "an emoji of a {}.",
      "an icon of a {}.",   "a picture of a {}.",
      "a cartoon {}.",
  };
  return *kTemplates;
}

std::string TemplateProblem(absl::string_view text, int max_bytes) {
  if (text.size() > static_cast<size_t>(max_bytes)) {
    return absl::StrCat("has ", text.size(), " bytes, at most ", max_bytes,
                        " are taken");
  }
  if (!datasets::IsPlainText(text)) return "is not plain UTF-8 text";
  const size_t first = text.find("{}");
  if (first == absl::string_view::npos) {
    return "must hold \"{}\" where the class name goes, e.g. \"a photo of a "
           "{}.\"";
  }
  if (text.find("{}", first + 2) != absl::string_view::npos) {
    return "must hold \"{}\" exactly once";
  }
  return "";
}

namespace {

// Those of `field`, at most `most`, each checked.
std::vector<std::string> Checked(
    const google::protobuf::RepeatedPtrField<std::string>& asked,
    const std::string& field, int most, const Limits& limits,
    std::vector<FieldViolation>* violations) {
  std::vector<std::string> templates(asked.begin(), asked.end());
  if (asked.size() > most) {
    violations->push_back(
        {field, absl::StrCat("has ", asked.size(), " templates, at most ", most,
                             " are taken")});
    return templates;
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < templates.size(); ++i) {
    std::string problem = TemplateProblem(templates[i], limits.max_label_bytes);
    if (problem.empty() && !seen.insert(templates[i]).second) {
      problem = "is there twice";
    }
    if (!problem.empty()) {
      violations->push_back({absl::StrCat(field, "[", i, "]"), problem});
    }
  }
  return templates;
}

}  // namespace

std::vector<std::string> ResolveTemplates(
    const google::protobuf::RepeatedPtrField<std::string>& asked,
    const Limits& limits, std::vector<FieldViolation>* violations) {
  if (asked.empty()) return BundledTemplates();
  return Checked(asked, "spec.templates", limits.max_templates, limits,
                 violations);
}

std::vector<std::string> ResolveTextTemplates(
    const google::protobuf::RepeatedPtrField<std::string>& asked,
    const Limits& limits, std::vector<FieldViolation>* violations) {
  if (asked.empty()) return {kDefaultTemplate};
  return Checked(asked, "spec.text_templates", limits.max_text_templates,
                 limits, violations);
}

std::string FillTemplate(absl::string_view text, absl::string_view label) {
  return absl::StrReplaceAll(
      text, {{"{}", absl::StrReplaceAll(label, {{"_", " "}})}});
}

}  // namespace promptd::server
