// Compressed entries of ZIP archives. Internal to weights/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace promptd::weights {

// What `deflated` (RFC 1951, no header) gives, if that is exactly `size` bytes
// and uses all of it. Never holds more than `size` bytes.
std::optional<std::string> Inflate(absl::string_view deflated, int64_t size);

}  // namespace promptd::weights
