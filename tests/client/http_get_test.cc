#include "client/http_get.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "common/error.h"
#include "gtest/gtest.h"

namespace promptd::client {
namespace {

// Accepts one connection on a free port, reads the request's head and answers.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    ::listen(socket_, 1);
    socklen_t length = sizeof(address);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer] {
      const int fd = ::accept(socket_, nullptr, nullptr);
      char buffer[512];
      while (request_.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(fd, buffer, sizeof(buffer), 0);
        if (got <= 0) break;
        request_.append(buffer, static_cast<size_t>(got));
      }
      ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(fd);
    });
  }
  ~OneAnswer() {
    if (thread_.joinable()) thread_.join();
    ::close(socket_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string Request() {
    thread_.join();
    return request_;
  }

 private:
  int socket_ = -1;
  int port_ = 0;
  std::string request_;
  std::thread thread_;
};

TEST(HttpGetTest, FetchesOverARealSocket) {
  OneAnswer server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  const auto body = HttpGet(server.address(), "/metrics", absl::Seconds(10));
  ASSERT_TRUE(body.ok()) << body.status();
  EXPECT_EQ(*body, "hello");
  EXPECT_EQ(server.Request().rfind("GET /metrics HTTP/1.1\r\n", 0), 0u);
}

TEST(HttpGetTest, NobodyListeningIsUnavailable) {
  std::string address;
  {
    OneAnswer server("HTTP/1.1 200 OK\r\n\r\n");
    address = server.address();
    ASSERT_TRUE(HttpGet(address, "/", absl::Seconds(10)).ok());
  }
  const auto body = HttpGet(address, "/", absl::Seconds(10));
  EXPECT_EQ(ErrorReason(body.status()), "HTTP_FAILED");
  EXPECT_FALSE(HttpGet("nonsense", "/", absl::Seconds(1)).ok());
}

TEST(HttpGetTest, ReadsChunksAndBodiesWithoutLength) {
  EXPECT_EQ(*ParseHttpResponse("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n"
                               "\r\n"),
            "abcde");
  EXPECT_EQ(*ParseHttpResponse("HTTP/1.0 200 OK\r\n\r\nrest"), "rest");
}

TEST(HttpGetTest, RefusesBrokenAnswers) {
  for (const char* text :
       {"", "garbage", "HTTP/1.1 500 Oops\r\n\r\n", "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"}) {
    EXPECT_FALSE(ParseHttpResponse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace promptd::client
