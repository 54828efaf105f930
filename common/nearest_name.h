// Which of some names was meant by one that is none of them.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace promptd {

// The member of `choices` that is nearest to `word` by edit distance in bytes,
// or an empty string when none is near enough to be what was meant. Pure.
std::string NearestName(absl::string_view word,
                        const std::vector<std::string>& choices);

}  // namespace promptd
