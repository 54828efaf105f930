#include "common/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd {
namespace {

bool IsIpv6(const std::string& host) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  const absl::Status bad = MakeError(
      absl::StatusCode::kInvalidArgument, "INVALID_ADDRESS",
      absl::StrCat("\"", text, "\" is not HOST:PORT, e.g. 127.0.0.1:7080"));
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return bad;
  Address address;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &address.port) ||
      address.port < 0 || address.port > 65535) {
    return bad;
  }
  const absl::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    address.host = std::string(host.substr(1, host.size() - 2));
    if (!IsIpv6(address.host)) return bad;
    return address;
  }
  address.host = std::string(host);
  if (host.empty() ||
      host.find_first_of(":[]/,\" ") != absl::string_view::npos) {
    return bad;
  }
  return address;
}

std::string FormatAddress(const Address& address) {
  return IsIpv6(address.host)
             ? absl::StrCat("[", address.host, "]:", address.port)
             : absl::StrCat(address.host, ":", address.port);
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  }
  return false;
}

}  // namespace promptd
