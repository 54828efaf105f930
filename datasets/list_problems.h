// What is wrong with a list of images, each with the file, line and field.
// Thread-compatible.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/error.h"

namespace promptd::datasets {

// `text` in quotation marks, cut and escaped, for a message.
std::string QuotedText(absl::string_view text);

// The first problems are kept, all are counted.
class ListProblems {
 public:
  // `where`: "images.csv: line 7: label".
  void Add(std::string where, std::string what);
  bool empty() const { return count_ == 0; }

  // INVALID_ARGUMENT (`reason`) with the problems as violations; OK without
  // any.
  absl::Status ToStatus(absl::string_view reason) const;

 private:
  size_t count_ = 0;
  std::vector<FieldViolation> listed_;
};

}  // namespace promptd::datasets
