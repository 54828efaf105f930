#include "learners/labelled_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::learners {

absl::Status CheckLabelled(const std::vector<int64_t>& shape,
                           const std::vector<int>& labels, int classes,
                           int embed_dim, const char* what) {
  const int64_t rows = static_cast<int64_t>(labels.size());
  if (rows > 0 && shape == std::vector<int64_t>{rows, embed_dim} &&
      std::all_of(labels.begin(), labels.end(), [classes](int label) {
        return label >= 0 && label < classes;
      })) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TRAINING_DATA",
                   absl::StrCat(what, " needs features [N, ", embed_dim,
                                "] and N labels below ", classes));
}

}  // namespace promptd::learners
