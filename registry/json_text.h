// The few JSON texts that the registry writes itself. Private to the room.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "registry/records.h"

namespace promptd::registry {

// INVALID_ARGUMENT (NOT_UTF8).
absl::StatusOr<std::string> NamesToJson(const std::vector<std::string>& names);
absl::StatusOr<std::string> SplitsToJson(const std::vector<SplitCount>& splits);

// INTERNAL (BAD_STORED_JSON) when the text is not one that we wrote.
absl::StatusOr<std::vector<std::string>> NamesFromJson(absl::string_view json);
absl::StatusOr<std::vector<SplitCount>> SplitsFromJson(absl::string_view json);

// The manifest of a version: all that makes the prompt, without its number.
// What was learned is named by the digest of its parameters, or, of a method
// whose head is all there is, by the head's.
// Keys are sorted, so equal content gives equal bytes. INVALID_ARGUMENT
// (NOT_UTF8); INTERNAL (BAD_STORED_JSON) when the specification is no JSON.
absl::StatusOr<std::string> VersionManifest(const NewVersion& version);

}  // namespace promptd::registry
