#include "learners/class_text.h"

#include <algorithm>

#include "absl/strings/str_replace.h"

namespace promptd::learners {

std::string ClassText(const std::string& name) {
  std::string text = name;
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string FillTemplate(const std::string& text, const std::string& name) {
  return absl::StrReplaceAll(text, {{"{}", ClassText(name)}});
}

}  // namespace promptd::learners
