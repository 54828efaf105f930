// Whether features and labels fit together. No torch.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

namespace promptd::learners {

// Features of `shape` [N, embed_dim] and N labels in 0 .. classes - 1, N > 0.
// INVALID_ARGUMENT (BAD_TRAINING_DATA): `what` needs them.
absl::Status CheckLabelled(const std::vector<int64_t>& shape,
                           const std::vector<int>& labels, int classes,
                           int embed_dim, const char* what);

}  // namespace promptd::learners
