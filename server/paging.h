// The page fields that list requests share.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/page.h"

namespace promptd::server {

// A client's token for the store's: opaque, and good only for the list (a
// method's name) that made it. Empty stays empty.
std::string SealPageToken(absl::string_view list, absl::string_view token);

// The store's token. INVALID_ARGUMENT (INVALID_PAGE_TOKEN) for one that this
// list did not make.
absl::StatusOr<std::string> OpenPageToken(absl::string_view list,
                                          absl::string_view sealed);

// INVALID_ARGUMENT (INVALID_PAGE_SIZE) below 0; larger pages than the largest
// are brought down to it.
absl::Status CheckPageSize(int page_size);

template <typename Request>
absl::StatusOr<store::PageRequest> ToPageRequest(absl::string_view list,
                                                 const Request& request) {
  absl::Status size = CheckPageSize(request.page_size());
  if (!size.ok()) return size;
  auto token = OpenPageToken(list, request.page_token());
  if (!token.ok()) return token.status();
  return store::PageRequest{.page_size = request.page_size(),
                            .page_token = *std::move(token)};
}

}  // namespace promptd::server
