// Preprocessed pixels of a dataset's items.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/manifest.h"
#include "datasets/preprocess.h"
#include "worker/control.h"

namespace promptd::worker {

// Reads and decodes `items` of the manifest on so many threads: [3, S, S] each,
// in their order, as the test transform leaves them or, of a `view`, as that
// random view does (datasets/random_view.h). An image that cannot be read is
// an error that names its path; errors of the control door pass through.
absl::StatusOr<std::vector<std::vector<float>>> ItemPixels(
    Control* control, int decode_threads,
    const datasets::PreprocessOptions& preprocess,
    const datasets::Manifest& manifest, const std::vector<int>& items,
    std::optional<int> view);

}  // namespace promptd::worker
