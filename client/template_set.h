// Templates by the name of a known set, or from a file.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::client {

// "coop7": the seven of CoOp's ensemble; "clip80": the eighty of CLIP's
// notebook for ImageNet; else a file with a template a line (empty lines and
// lines that begin with "#" are left out). NOT_FOUND (UNKNOWN_TEMPLATE_SET);
// INVALID_ARGUMENT (BAD_TEMPLATE_FILE) names the line.
absl::StatusOr<std::vector<std::string>> ReadTemplateSet(
    const std::string& name);

}  // namespace promptd::client
