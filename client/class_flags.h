// Which classes a context is applied to: a dataset's, or a list.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"

namespace promptd::client {

struct ClassFlags {
  std::string dataset;  // name or folder
  std::string classes;  // "cat, dog"
  std::string classes_file;
};

// --dataset, --classes and --classes-file. `flags` outlives `app`.
void AddClassFlags(CLI::App* app, ClassFlags* flags);

// The list; empty when a dataset is given. INVALID_ARGUMENT (USAGE) unless
// exactly one of the three is; ReadFile's errors.
absl::StatusOr<std::vector<std::string>> ClassNamesOf(const ClassFlags& flags);

}  // namespace promptd::client
