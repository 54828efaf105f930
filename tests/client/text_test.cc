#include "client/text.h"

#include "client/exit_code.h"
#include "client/selector.h"
#include "client/table.h"
#include "common/error.h"
#include "gtest/gtest.h"

namespace promptd::client {
namespace {

TEST(TextTest, PrintableHidesWhatSteersATerminal) {
  EXPECT_EQ(Printable("a\x1b[31mb\nc\x7f"), "a?[31mb?c?");
  EXPECT_EQ(Printable("r\u00f4se"), "r\u00f4se");
}

TEST(TextTest, NumbersReadWell) {
  EXPECT_EQ(Percent(0.7134), "71.3%");
  EXPECT_EQ(Points(0.2331), "+23.3");
  EXPECT_EQ(Points(-0.05), "-5.0");
  EXPECT_EQ(Bytes(12), "12 B");
  EXPECT_EQ(Bytes(17'500), "17.5 kB");
  EXPECT_EQ(Bytes(214'000'000), "214 MB");
  EXPECT_EQ(ShortDuration(absl::Milliseconds(12)), "12 ms");
  EXPECT_EQ(ShortDuration(absl::Seconds(4.2)), "4.2 s");
  EXPECT_EQ(ShortDuration(absl::Seconds(185)), "3:05");
  EXPECT_EQ(ShortDuration(absl::Seconds(8040)), "2:14:00");
}

TEST(TextTest, AgoGrowsCoarser) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  EXPECT_EQ(Ago(now - absl::Seconds(9), now), "9 s ago");
  EXPECT_EQ(Ago(now - absl::Minutes(2), now), "2 min ago");
  EXPECT_EQ(Ago(now - absl::Hours(3), now), "3 h ago");
  EXPECT_EQ(Ago(now - absl::Hours(72), now), "2023-11-11");
  EXPECT_EQ(Ago(now + absl::Seconds(5), now), "0 s ago");
}

TEST(TextTest, FolderNamesFoldToDatasetNames) {
  EXPECT_EQ(FoldName("My Pets (2026)"), "my-pets-2026");
  EXPECT_EQ(FoldName("flowers_102"), "flowers_102");
  EXPECT_EQ(FoldName("..."), "");
  EXPECT_EQ(FoldName("\u4f60"), "");
  EXPECT_EQ(FoldName(std::string(100, 'a')).size(), 63u);
}

TEST(TableTest, AlignsColumnsAndCountsCharactersNotBytes) {
  Table table({"NAME", "N"});
  table.Add({"r\u00f4se", "1"});
  table.Add({"tulip", "22"});
  EXPECT_EQ(table.ToString(), "NAME   N\nr\u00f4se   1\ntulip  22\n");
}

TEST(TableTest, MakesCellsPrintableAndKeepsTheHeaderAlone) {
  Table table({"A", "B"});
  EXPECT_EQ(table.ToString(), "A  B\n");
  table.Add({"x\n"});
  EXPECT_EQ(table.ToString(), "A   B\nx?\n");
}

TEST(TableTest, KeyValuesAreAligned) {
  EXPECT_EQ(KeyValues({{"id", "1"}, {"state", "done"}}),
            "id     1\nstate  done\n");
}

TEST(SelectorTest, ReadsTheThreeForms) {
  EXPECT_EQ(*ParseTaskSelector("pets"), (TaskSelector{"pets", "", 0}));
  EXPECT_EQ(*ParseTaskSelector("pets@beta"), (TaskSelector{"pets", "beta", 0}));
  EXPECT_EQ(*ParseTaskSelector("pets:12"), (TaskSelector{"pets", "", 12}));
  for (const char* text : {"pets", "pets@beta", "pets:12"}) {
    EXPECT_EQ(ToString(*ParseTaskSelector(text)), text);
  }
}

TEST(SelectorTest, RefusesEverythingElseAsUsage) {
  for (const char* text :
       {"", "@beta", ":3", "pets@", "pets:", "pets:0", "pets:-1", "pets:x",
        "pets@a:b", "pets:99999999999999999999"}) {
    const auto selector = ParseTaskSelector(text);
    ASSERT_FALSE(selector.ok()) << text;
    EXPECT_EQ(ExitCodeOf(selector.status()), ExitCode::kUsage) << text;
  }
}

TEST(ExitCodeTest, FollowsTheCanonicalCode) {
  using Code = absl::StatusCode;
  const std::vector<std::pair<Code, ExitCode>> table = {
      {Code::kInvalidArgument, ExitCode::kFailed},
      {Code::kNotFound, ExitCode::kNotFound},
      {Code::kPermissionDenied, ExitCode::kDenied},
      {Code::kUnauthenticated, ExitCode::kDenied},
      {Code::kUnavailable, ExitCode::kUnavailable},
      {Code::kResourceExhausted, ExitCode::kExhausted},
      {Code::kDeadlineExceeded, ExitCode::kTimeout},
      {Code::kInternal, ExitCode::kFailed}};
  for (const auto& [code, exit] : table) {
    EXPECT_EQ(ExitCodeOf(MakeError(code, "R", "m")), exit);
  }
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kOk);
}

}  // namespace
}  // namespace promptd::client
