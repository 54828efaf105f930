#include "server/item_checks.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "datasets/name_rules.h"
#include "server/templates.h"

namespace promptd::server {

void CheckItemCount(const std::string& field, int count, int most,
                    std::vector<FieldViolation>* violations) {
  if (count == 0) {
    violations->push_back({field, "is required: at least one"});
  } else if (count > most) {
    violations->push_back(
        {field, absl::StrCat("has ", count, " ", field, ", at most ", most,
                             " are taken: send the rest in further calls")});
  }
}

void CheckNamedImages(
    int sent, const google::protobuf::RepeatedPtrField<std::string>& digests,
    bool no_cache, int most, std::vector<FieldViolation>* violations) {
  constexpr size_t kDigestBytes = 32;
  CheckItemCount("images", sent + digests.size(), most, violations);
  if (digests.size() > most) return;
  for (int i = 0; i < digests.size(); ++i) {
    if (digests.Get(i).size() == kDigestBytes) continue;
    violations->push_back(
        {absl::StrCat("image_digests[", i, "]"),
         absl::StrCat("has ", digests.Get(i).size(), " bytes, a SHA-256 has ",
                      kDigestBytes)});
  }
  if (no_cache && !digests.empty()) {
    violations->push_back(
        {"no_cache",
         "is set, but image_digests are answered from the cache "
         "alone: send the images, or leave it out"});
  }
}

void CheckLabels(const Limits& limits, const std::vector<std::string>& labels,
                 std::vector<FieldViolation>* violations) {
  if (labels.empty()) {
    violations->push_back({"labels", "is required: at least one label"});
  }
  if (labels.size() > static_cast<size_t>(limits.max_classes)) {
    violations->push_back(
        {"labels", absl::StrCat("has ", labels.size(), " labels, at most ",
                                limits.max_classes, " are taken")});
    return;
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::string& label = labels[i];
    const std::string field = absl::StrCat("labels[", i, "]");
    if (label.size() > static_cast<size_t>(limits.max_label_bytes) ||
        !datasets::IsPlainText(label)) {
      violations->push_back(
          {field, absl::StrCat("must be plain UTF-8 text of at most ",
                               limits.max_label_bytes, " bytes")});
      continue;
    }
    const std::string folded = datasets::FoldClassName(label);
    if (folded.empty()) {
      violations->push_back({field, "is empty"});
    } else if (!seen.insert(folded).second) {
      violations->push_back(
          {field, absl::StrCat("\"", label, "\" is there twice")});
    }
  }
}

std::vector<std::string> ZeroShotTexts(
    const Limits& limits, const std::vector<std::string>& labels,
    const std::string& template_text, std::vector<FieldViolation>* violations) {
  CheckLabels(limits, labels, violations);
  const std::string text =
      template_text.empty() ? kDefaultTemplate : template_text;
  const std::string problem = TemplateProblem(text, limits.max_label_bytes);
  if (!problem.empty()) violations->push_back({"template", problem});
  if (!violations->empty()) return {};
  std::vector<std::string> texts;
  texts.reserve(labels.size());
  for (const std::string& label : labels) {
    texts.push_back(FillTemplate(text, label));
  }
  return texts;
}

}  // namespace promptd::server
