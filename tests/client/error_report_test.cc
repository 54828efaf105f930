#include "client/error_report.h"

#include <sstream>

#include "client/rpc_status.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_server.h"

namespace promptd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ErrorReportTest, SplitsTheAdviceFromTheProblem) {
  const ErrorReport report = ReportOf(MakeError(
      absl::StatusCode::kNotFound, "DATASET_NOT_FOUND",
      "no dataset \"pets: all\": push it with `promptctl dataset push`"));
  EXPECT_EQ(report.what, "no dataset \"pets: all\"");
  EXPECT_EQ(report.fix, "push it with `promptctl dataset push`");
  EXPECT_EQ(report.reason, "DATASET_NOT_FOUND");
  EXPECT_EQ(report.exit_code, ExitCode::kNotFound);
}

TEST(ErrorReportTest, KeepsTheSystemsOwnWordsInTheProblem) {
  const ErrorReport report =
      ReportOf(MakeError(absl::StatusCode::kUnavailable, "FILE_READ_FAILED",
                         "cannot read a.png: Permission denied"));
  EXPECT_EQ(report.what, "cannot read a.png: Permission denied");
  EXPECT_EQ(report.fix, "");
}

TEST(ErrorReportTest, ListsEveryFieldViolation) {
  const absl::Status status = WithWhat(
      InvalidFields("INVALID_SPEC", {{"spec.shots", "must be at least 1"},
                                     {"spec.epochs", "must be at least 1"}}),
      "cannot train \"pets\"");
  EXPECT_EQ(ErrorText(ReportOf(status)),
            "error: cannot train \"pets\"\n"
            "  why   spec.shots: must be at least 1\n"
            "        spec.epochs: must be at least 1\n"
            "  ref   INVALID_SPEC\n");
}

TEST(ErrorReportTest, DecodesThePayloadOfARealReply) {
  const absl::Status status = FromGrpcStatus(
      promptd::testing::RichError(
          grpc::StatusCode::INVALID_ARGUMENT, "INVALID_SPEC", "two problems",
          {{"spec.shots", "too many"}, {"spec.lr", "not positive"}}),
      "host:1");
  const ErrorReport report = ReportOf(status);
  EXPECT_EQ(report.reason, "INVALID_SPEC");
  EXPECT_EQ(report.request_id, "req-1");
  EXPECT_THAT(report.why,
              ElementsAre("spec.shots: too many", "spec.lr: not positive"));
  EXPECT_THAT(ErrorText(report),
              HasSubstr("  ref   INVALID_SPEC  request req-1\n"));
}

TEST(ErrorReportTest, RepliesWithoutDetailsStillSayWhatToDo) {
  const ErrorReport away = ReportOf(FromGrpcStatus(
      grpc::Status(grpc::StatusCode::UNAVAILABLE,
                   "failed to connect to all addresses; last error: UNKNOWN: "
                   "Connection refused"),
      "host:1"));
  EXPECT_EQ(away.what, "cannot reach host:1 (Connection refused)");
  EXPECT_THAT(away.fix, HasSubstr("promptd"));
  EXPECT_EQ(away.exit_code, ExitCode::kUnavailable);
  const ErrorReport late = ReportOf(FromGrpcStatus(
      grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded"),
      "host:1"));
  EXPECT_EQ(late.exit_code, ExitCode::kTimeout);
  EXPECT_THAT(late.fix, HasSubstr("--timeout"));
}

TEST(ErrorReportTest, GarbageInTheDetailsIsNoCrash) {
  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::INTERNAL, "broken",
                                  std::string("\xff\xff\x01\x00", 4)),
                     "host:1");
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "broken");
}

TEST(ErrorReportTest, JsonGoesToTheMessageStream) {
  std::ostringstream out;
  std::ostringstream err;
  ConsoleOptions options;
  options.json = true;
  Console console(out, err, options);
  const ExitCode code = PrintError(
      WithWhy(MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS",
                        "the queue is full: wait for a job to end"),
              "8 jobs"),
      console);
  EXPECT_EQ(code, ExitCode::kExhausted);
  EXPECT_EQ(out.str(), "");
  const nlohmann::json json = nlohmann::json::parse(err.str());
  EXPECT_EQ(json["error"]["reason"], "TOO_MANY_JOBS");
  EXPECT_EQ(json["error"]["fix"], "wait for a job to end");
  EXPECT_EQ(json["error"]["why"][0], "8 jobs");
  EXPECT_EQ(json["error"]["exit_code"], 6);
}

TEST(ErrorReportTest, AServersTextCannotSteerTheTerminal) {
  const ErrorReport report = ReportOf(
      MakeError(absl::StatusCode::kInternal, "X", "bad \x1b[2J screen"));
  EXPECT_THAT(ErrorText(report), HasSubstr("bad ?[2J screen"));
}

}  // namespace
}  // namespace promptd::client
