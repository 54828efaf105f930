// Lists are read in pages: how much, from where, and what comes next.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

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

}  // namespace promptd::store
