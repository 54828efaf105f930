// All pages of a listing as one list.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::client {

// Calls `fetch(page_token)` (absl::StatusOr of a reply with
// next_page_token()) until there are no more pages or `limit` items, and
// returns what `items(reply)` (a repeated field) held. `limit` 0: all.
template <typename Item, typename Fetch, typename Items>
absl::StatusOr<std::vector<Item>> AllPages(Fetch fetch, Items items,
                                           size_t limit = 0) {
  std::vector<Item> all;
  std::string token;
  do {
    auto reply = fetch(token);
    if (!reply.ok()) return reply.status();
    for (const Item& item : items(*reply)) {
      all.push_back(item);
      if (limit > 0 && all.size() == limit) return all;
    }
    // A server that repeats itself must not keep us for ever.
    if (reply->next_page_token() == token) break;
    token = reply->next_page_token();
  } while (!token.empty());
  return all;
}

}  // namespace promptd::client
