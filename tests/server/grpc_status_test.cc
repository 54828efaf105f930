#include "server/grpc_status.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/utf8.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

TEST(GrpcStatusTest, CarriesReasonDomainAndRequestId) {
  const ErrorDetails error = Decode(
      ToGrpcStatus(MakeError(absl::StatusCode::kNotFound, "TASK_NOT_FOUND",
                             "no task \"x\": create it"),
                   "r-1"));
  EXPECT_EQ(error.code, grpc::NOT_FOUND);
  EXPECT_EQ(error.message, "no task \"x\": create it");
  EXPECT_EQ(error.reason, "TASK_NOT_FOUND");
  EXPECT_EQ(error.domain, "promptd");
  EXPECT_EQ(error.request_id, "r-1");
  EXPECT_FALSE(error.retry);
}

TEST(GrpcStatusTest, SaysRetryOnlyWhereItHelps) {
  for (const auto code :
       {absl::StatusCode::kUnavailable, absl::StatusCode::kResourceExhausted}) {
    EXPECT_TRUE(Decode(ToGrpcStatus(MakeError(code, "R", "m"), "r")).retry);
  }
  EXPECT_FALSE(
      Decode(ToGrpcStatus(
                 MakeError(absl::StatusCode::kInvalidArgument, "R", "m"), "r"))
          .retry);
}

TEST(GrpcStatusTest, HidesWhatOnlyTheOperatorMaySee) {
  const std::string secret = "/var/lib/promptd/x: SELECT * FROM job";
  for (const absl::Status& status :
       {MakeError(absl::StatusCode::kInternal, "X", secret),
        MakeError(absl::StatusCode::kUnknown, "X", secret),
        MakeError(absl::StatusCode::kUnavailable, "FILE_READ_FAILED", secret),
        MakeError(absl::StatusCode::kUnavailable, "DATABASE_IO", secret),
        MakeError(absl::StatusCode::kDataLoss, "DATABASE_CORRUPT", secret),
        MakeError(absl::StatusCode::kResourceExhausted, "DISK_FULL", secret)}) {
    const grpc::Status out = ToGrpcStatus(status, "r");
    EXPECT_EQ(out.error_message().find("/var"), std::string::npos);
    EXPECT_EQ(out.error_details().find("/var"), std::string::npos);
    EXPECT_EQ(out.error_code(), static_cast<grpc::StatusCode>(status.code()));
  }
}

// Base64 and percent encoding: what goes on the wire is larger.
size_t WireBytes(const grpc::Status& status) {
  return status.error_details().size() * 4 / 3 +
         status.error_message().size() * 3;
}

TEST(GrpcStatusTest, StaysUnderTheMetadataLimitHoweverLong) {
  std::vector<FieldViolation> fields;
  for (int i = 0; i < 4096; ++i) {
    fields.push_back({absl::StrCat("spec.dataset.class_names[", i, "]"),
                      std::string(300, 'x')});
  }
  const grpc::Status many = ToGrpcStatus(InvalidFields("R", fields), "r");
  EXPECT_LT(WireBytes(many), 7800u);
  const ErrorDetails decoded = Decode(many);
  EXPECT_EQ(decoded.reason, "R");
  ASSERT_GT(decoded.fields.size(), 2u);
  EXPECT_EQ(decoded.fields.back().second,
            absl::StrCat("and ", 4096 - (decoded.fields.size() - 1),
                         " more violations"));

  const grpc::Status wide = ToGrpcStatus(
      MakeError(absl::StatusCode::kNotFound, "R", std::string(100'000, '\xff')),
      "r");
  EXPECT_LT(WireBytes(wide), 7800u);
  EXPECT_EQ(Decode(wide).reason, "R");
}

TEST(GrpcStatusTest, CutsTextOnlyBetweenCharacters) {
  EXPECT_EQ(TruncateUtf8("abc", 3), "abc");
  EXPECT_EQ(TruncateUtf8("abcd", 4), "abcd");
  EXPECT_EQ(TruncateUtf8("abcde", 4), "a...");
  EXPECT_EQ(TruncateUtf8("\xc3\xa9\xc3\xa9\xc3\xa9", 6),
            "\xc3\xa9\xc3\xa9\xc3\xa9");
  EXPECT_EQ(TruncateUtf8("\xc3\xa9\xc3\xa9\xc3\xa9", 5), "\xc3\xa9...");
  EXPECT_EQ(TruncateUtf8("a\xff"
                         "b\xc3",
                         10),
            "a?b?");
  EXPECT_EQ(TruncateUtf8("\xed\xa0\x80", 10), "???");  // a lone surrogate
}

}  // namespace
}  // namespace promptd::server
