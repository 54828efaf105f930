// Zero-shot templates of the paper's protocols.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace promptd::experiments {

// How often "{}" stands in `text`.
int PlacesForName(absl::string_view text);

// The seven that CoOp's zero-shot ensembling takes (IMAGENET_TEMPLATES_SELECT
// in trainers/imagenet_templates.py).
std::vector<std::string> SelectedTemplates();

// The eighty of CLIP's ImageNet notebook (IMAGENET_TEMPLATES there).
std::vector<std::string> AllTemplates();

}  // namespace promptd::experiments
