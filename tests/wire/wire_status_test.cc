#include "wire/wire_status.h"

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gtest/gtest.h"

namespace promptd::wire {
namespace {

TEST(WireStatusTest, CodeMessageReasonAndFieldsArriveAsTheyWereSent) {
  const absl::Status sent = InvalidFields(
      "INVALID_SPEC",
      {{"spec.shots", "is too large"}, {"spec.task", "b\xc3\xa9"}});
  const absl::Status received = FromGrpc(ToGrpc(sent), "peer");
  EXPECT_EQ(received, sent);
  EXPECT_EQ(ErrorReason(received), "INVALID_SPEC");
  ASSERT_EQ(ErrorFields(received).size(), 2u);
  EXPECT_EQ(ErrorFields(received)[1].description, "b\xc3\xa9");
}

TEST(WireStatusTest, InternalErrorsKeepTheirMessageForTheLog) {
  const absl::Status sent =
      MakeError(absl::StatusCode::kInternal, "BAD_STORED_SPEC", "/a/path");
  EXPECT_EQ(FromGrpc(ToGrpc(sent), "peer"), sent);
  pb::ItemStatus item;
  ToProto(sent, &item);
  EXPECT_EQ(FromProto(item), sent);
}

TEST(WireStatusTest, OkIsOk) {
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus()), "peer").ok());
  EXPECT_TRUE(FromProto(pb::ItemStatus()).ok());
}

TEST(WireStatusTest, WhatNobodyAnsweredIsUnreachable) {
  const absl::Status lost = FromGrpc(
      grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset"), "w1");
  EXPECT_TRUE(IsUnreachable(lost));
  EXPECT_NE(lost.message().find("w1"), absl::string_view::npos);
  // An answer of the peer is none, whatever its code.
  EXPECT_FALSE(IsUnreachable(FromGrpc(
      ToGrpc(MakeError(absl::StatusCode::kUnavailable, "QUEUE_FULL", "full")),
      "w1")));
  EXPECT_EQ(ErrorReason(FromGrpc(
                grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, ""), "w1")),
            "DEADLINE_EXPIRED");
}

TEST(WireStatusTest, HugeErrorsFitTheMetadata) {
  std::vector<FieldViolation> fields;
  for (int i = 0; i < 5000; ++i) {
    fields.push_back({absl::StrCat("field", i), std::string(200, '\xff')});
  }
  const grpc::Status sent = ToGrpc(InvalidFields("MANY", fields));
  EXPECT_LT(sent.error_details().size() * 4 / 3, size_t{kMaxMetadataBytes});
  EXPECT_EQ(ErrorReason(FromGrpc(sent, "peer")), "MANY");
}

}  // namespace
}  // namespace promptd::wire
