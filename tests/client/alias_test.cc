// promptctl alias show|set|rollback|delete|history.
#include "gmock/gmock.h"
#include "promptd/v1/prompt.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;

using AliasTest = CliFixture;

TEST_F(AliasTest, ShowsWhereItPointsNowOrAtATime) {
  ASSERT_EQ(Cli({"alias", "show", "pets", "production", "-o", "json"}), 0)
      << err_;
  EXPECT_EQ(Json()["version"], 4);
  EXPECT_FALSE(state().aliases_got.at(0).has_at_time());
  ASSERT_EQ(Cli({"alias", "show", "pets", "production", "--at",
                 "2026-03-01T12:00:00.5Z"}),
            0)
      << err_;
  EXPECT_EQ(state().aliases_got.at(1).at_time().seconds(), 1772366400);
  EXPECT_EQ(state().aliases_got.at(1).at_time().nanos(), 500'000'000);
  ASSERT_EQ(Cli({"alias", "show", "pets", "production", "--at", "2026-03-01"}),
            0);
  EXPECT_EQ(state().aliases_got.at(2).at_time().seconds(), 1772323200);
  EXPECT_EQ(Cli({"alias", "show", "pets", "production", "--at", "noon"}), 2);
  EXPECT_THAT(err_, HasSubstr("is no time"));
}

TEST_F(AliasTest, AMoveCarriesItsExpectationAndReason) {
  ASSERT_EQ(Cli({"alias", "set", "pets", "production", "2", "--expect", "1",
                 "--reason", "better"}),
            0)
      << err_;
  EXPECT_EQ(state().aliases_set.at(0).reason(), "better");
  EXPECT_EQ(state().aliases_set.at(0).expected_version(), 1);
  ASSERT_EQ(Cli({"alias", "rollback", "pets", "production", "--expect", "2",
                 "--reason", "worse"}),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("pets:1"));
  EXPECT_EQ(state().rolled_back.at(0).expected_version(), 2);
  EXPECT_EQ(state().rolled_back.at(0).reason(), "worse");
  ASSERT_EQ(Cli({"alias", "delete", "pets", "canary"}), 0) << err_;
  EXPECT_EQ(state().aliases_deleted.at(0).name(), "canary");
  EXPECT_FALSE(state().aliases_deleted.at(0).has_expected_version());
}

TEST_F(AliasTest, TheHistoryIsATableOfAllPages) {
  v1::AliasMove move;
  move.set_revision(3);
  move.set_previous_version(2);
  move.set_version(1);
  move.set_actor("default");
  move.set_reason("worse\x1b at night");
  move.set_undone_revision(2);
  state().moves = {move, v1::AliasMove()};
  state().moves[1].set_revision(1);
  ASSERT_EQ(Cli({"alias", "history", "pets", "production"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("rollback of revision 2: worse? at night"));
  EXPECT_THAT(out_, HasSubstr("deleted"));
  ASSERT_EQ(Cli({"alias", "history", "pets", "production", "-o", "json"}), 0);
  EXPECT_EQ(Json().size(), 2u);
  ASSERT_EQ(Cli({"alias", "history", "pets", "production", "--limit", "1", "-o",
                 "json"}),
            0);
  EXPECT_EQ(Json().size(), 1u);
}

}  // namespace
}  // namespace promptd::client
