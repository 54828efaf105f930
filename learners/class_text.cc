#include "learners/class_text.h"

#include <algorithm>

namespace promptd::learners {

std::string ClassText(const std::string& name) {
  std::string text = name;
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

}  // namespace promptd::learners
