// Where the programs look for encoders that nobody named.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::weights {

// `named`, unless it is empty; else the folders that `promptctl encoder import`
// made in the data folder, ordered by name, and the embedded encoder's, from
// $PROMPTD_MODELS or beside the program. NOT_FOUND (NO_ENCODER).
absl::StatusOr<std::vector<std::string>> EncoderPlaces(
    const std::vector<std::string>& named, const std::string& data_dir);

// ~/.local/share/promptd. INVALID_ARGUMENT (NO_DATA_DIR) without a home.
absl::StatusOr<std::string> DefaultDataDir();

}  // namespace promptd::weights
