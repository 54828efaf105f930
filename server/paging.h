// The page fields that list requests share.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "store/page.h"

namespace promptd::server {

// INVALID_ARGUMENT (INVALID_PAGE_SIZE, INVALID_PAGE_TOKEN); sizes over the
// largest are brought down to it. Tokens are opaque: the store checks them.
template <typename Request>
absl::StatusOr<store::PageRequest> ToPageRequest(const Request& request) {
  if (request.page_size() < 0) {
    return InvalidFields("INVALID_PAGE_SIZE",
                         {{"page_size", absl::StrCat("is ", request.page_size(),
                                                     ", must be 0 or more")}});
  }
  if (request.page_token().size() > 512) {
    return InvalidFields("INVALID_PAGE_TOKEN",
                         {{"page_token", "is not one that this server made"}});
  }
  return store::PageRequest{.page_size = request.page_size(),
                            .page_token = request.page_token()};
}

}  // namespace promptd::server
