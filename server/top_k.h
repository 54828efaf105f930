// How many classes of an image a request wants.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/grpc_status.h"

namespace promptd::server {

// Adds a violation of `field` for a number below 0.
inline void CheckTopK(const std::string& field, int top_k,
                      std::vector<FieldViolation>* violations) {
  if (top_k < 0) {
    violations->push_back(
        {field, absl::StrCat("is ", top_k, ", must be 0 or more")});
  }
}

// 0 is the default; there are no more than the classes.
inline int EffectiveTopK(int top_k, size_t classes) {
  constexpr int kDefaultTopK = 5;
  return std::min(top_k == 0 ? kDefaultTopK : top_k, static_cast<int>(classes));
}

}  // namespace promptd::server
