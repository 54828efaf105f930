#include "server/paging.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/sha256.h"

namespace promptd::server {
namespace {

constexpr size_t kSealBytes = 16;
constexpr size_t kMaxTokenBytes = 512;

// Not a secret: it tells a token of ours from a guess or a mix-up.
std::string Seal(absl::string_view list, absl::string_view token) {
  return Sha256Hex(absl::StrCat("page\n", list, "\n", token))
      .substr(0, kSealBytes);
}

}  // namespace

std::string SealPageToken(absl::string_view list, absl::string_view token) {
  if (token.empty()) return "";
  return absl::WebSafeBase64Escape(absl::StrCat(Seal(list, token), token));
}

absl::StatusOr<std::string> OpenPageToken(absl::string_view list,
                                          absl::string_view sealed) {
  if (sealed.empty()) return std::string();
  std::string opened;
  if (sealed.size() <= kMaxTokenBytes &&
      absl::WebSafeBase64Unescape(sealed, &opened) &&
      opened.size() > kSealBytes) {
    const std::string token = opened.substr(kSealBytes);
    if (opened.substr(0, kSealBytes) == Seal(list, token)) return token;
  }
  return InvalidFields("INVALID_PAGE_TOKEN",
                       {{"page_token",
                         "is not one that this list gave: start again "
                         "without it"}});
}

absl::Status CheckPageSize(int page_size) {
  if (page_size >= 0) return absl::OkStatus();
  return InvalidFields(
      "INVALID_PAGE_SIZE",
      {{"page_size", absl::StrCat("is ", page_size, ", must be 0 or more")}});
}

}  // namespace promptd::server
