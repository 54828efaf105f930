// Lists are read in pages: how much, from where, and what comes next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "common/error.h"

namespace promptd::store {

struct PageRequest {
  int page_size = 0;       // 0: 50; at most 1000
  std::string page_token;  // from the page before; empty: from the start
};

template <typename T>
struct Page {
  std::vector<T> items;
  std::string next_page_token;  // empty at the end
};

// The number of items in a page.
inline int PageSize(const PageRequest& request) {
  if (request.page_size <= 0) return 50;
  return std::min(request.page_size, 1000);
}

// Of a list by falling numbers, whose token is the last number of the page
// before: the number that this page stays below. INVALID_ARGUMENT
// (INVALID_PAGE_TOKEN).
inline absl::StatusOr<int64_t> NumberBefore(const PageRequest& request) {
  int64_t before = INT64_MAX;
  if (request.page_token.empty() ||
      absl::SimpleAtoi(request.page_token, &before)) {
    return before;
  }
  return MakeError(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN",
                   "page_token is not one from an earlier answer");
}

}  // namespace promptd::store
