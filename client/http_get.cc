#include "client/http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

constexpr size_t kMaxBytes = 16 << 20;

absl::Status Failed(absl::string_view what) {
  return MakeError(absl::StatusCode::kUnavailable, "HTTP_FAILED", what);
}

absl::StatusOr<int> Connect(const std::string& address,
                            absl::Duration timeout) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return Failed(absl::StrCat("\"", address, "\" is no HOST:PORT"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints,
                    &found) != 0) {
    return Failed(absl::StrCat("\"", address, "\" is no HOST:PORT"));
  }
  const auto free_found = absl::MakeCleanup([found] { ::freeaddrinfo(found); });
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed(std::strerror(errno));
  const timeval limit = absl::ToTimeval(timeout);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (::connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
    const int error = errno;
    ::close(fd);
    return Failed(
        absl::StrCat("cannot reach ", address, ": ", std::strerror(error)));
  }
  return fd;
}

absl::Status SendAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return Failed(std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReceiveAll(int fd, absl::Time deadline) {
  std::string response;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::recv(fd, buffer, sizeof(buffer), 0);
    if (got == 0) return response;
    if (got < 0 && errno == EINTR) continue;
    if ((got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ||
        absl::Now() > deadline) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, "TIMEOUT",
                       "the HTTP answer did not come in time");
    }
    if (got < 0) return Failed(std::strerror(errno));
    response.append(buffer, static_cast<size_t>(got));
    if (response.size() > kMaxBytes) return Failed("the answer is too long");
  }
}

absl::StatusOr<std::string> Dechunk(absl::string_view body) {
  std::string out;
  for (;;) {
    const size_t end = body.find("\r\n");
    if (end == absl::string_view::npos) return Failed("broken chunk");
    uint32_t size = 0;
    if (!absl::SimpleHexAtoi(body.substr(0, body.find_first_of(";\r")),
                             &size)) {
      return Failed("broken chunk length");
    }
    body.remove_prefix(end + 2);
    if (size == 0) return out;
    if (body.size() < size + size_t{2}) return Failed("broken chunk");
    out.append(body.data(), size);
    body.remove_prefix(size + size_t{2});
  }
}

}  // namespace

absl::StatusOr<std::string> ParseHttpResponse(absl::string_view response) {
  const size_t end = response.find("\r\n\r\n");
  if (end == absl::string_view::npos) return Failed("no HTTP answer");
  const std::vector<absl::string_view> lines =
      absl::StrSplit(response.substr(0, end), "\r\n");
  const std::vector<absl::string_view> status =
      absl::StrSplit(lines[0], absl::MaxSplits(' ', 2));
  if (status.size() < 2 || !absl::StartsWith(status[0], "HTTP/1.") ||
      status[1] != "200") {
    return Failed(absl::StrCat("the server answered \"", lines[0], "\""));
  }
  absl::string_view body = response.substr(end + 4);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> header =
        absl::StrSplit(lines[i], absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(header.second);
    if (absl::EqualsIgnoreCase(header.first, "transfer-encoding") &&
        absl::EqualsIgnoreCase(value, "chunked")) {
      return Dechunk(body);
    }
    uint64_t length = 0;
    if (absl::EqualsIgnoreCase(header.first, "content-length") &&
        absl::SimpleAtoi(value, &length)) {
      if (body.size() < length) return Failed("the answer was cut off");
      body = body.substr(0, length);
    }
  }
  return std::string(body);
}

absl::StatusOr<std::string> HttpGet(const std::string& address,
                                    const std::string& path,
                                    absl::Duration timeout) {
  ASSIGN_OR_RETURN(const int fd, Connect(address, timeout));
  const auto close_fd = absl::MakeCleanup([fd] { ::close(fd); });
  RETURN_IF_ERROR(SendAll(
      fd, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", address,
                       "\r\nAccept: text/plain\r\nConnection: close\r\n\r\n")));
  ASSIGN_OR_RETURN(const std::string response,
                   ReceiveAll(fd, absl::Now() + timeout));
  return ParseHttpResponse(response);
}

}  // namespace promptd::client
