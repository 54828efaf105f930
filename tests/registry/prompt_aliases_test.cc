#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/registry/registry_fixture.h"

namespace promptd::registry {
namespace {

using ::testing::HasSubstr;

class PromptAliasesTest : public RegistryFixture {
 protected:
  PromptAliasesTest() {
    EXPECT_TRUE(MakeTask("pets").ok());
    for (int i = 0; i < 3; ++i) PublishNext("pets");
  }

  absl::StatusOr<Alias> Set(const std::string& name, int64_t version,
                            std::optional<int64_t> expected = std::nullopt) {
    return prompts().SetAlias(
        "default", "pets", name, version,
        {.expected_version = expected, .actor = "ann", .reason = "better"});
  }
  absl::StatusOr<Alias> Rollback(const std::string& name = "production",
                                 const AliasChange& change = {}) {
    return prompts().RollbackAlias("default", "pets", name, change);
  }
  // All of it, newest first.
  std::vector<AliasMove> History(const std::string& name = "") {
    auto page = prompts().AliasHistory("default", "pets", name, {});
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? page->items : std::vector<AliasMove>();
  }
};

TEST_F(PromptAliasesTest, MovesGrowTheRevisionAndStayInTheHistory) {
  clock_.Advance(absl::Hours(1));
  const auto moved = Set("production", 3, 1);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->revision, 2);
  EXPECT_EQ(moved->update_time, clock_.Now());
  EXPECT_EQ(Set("", 2)->revision, 3);
  const std::vector<AliasMove> history = History();
  ASSERT_EQ(history.size(), 3u);
  EXPECT_EQ(history[2].previous_version, 0);
  EXPECT_EQ(history[2].version, 1);
  EXPECT_EQ(history[2].actor, "job 1");
  EXPECT_EQ(history[1].previous_version, 1);
  EXPECT_EQ(history[1].version, 3);
  EXPECT_EQ(history[1].time, clock_.Now());
  EXPECT_EQ(history[1].actor, "ann");
  EXPECT_EQ(history[1].reason, "better");
  EXPECT_EQ(history[0].revision, 3);
  EXPECT_EQ(prompts().GetVersionByAlias("default", "pets", "")->version, 2);
}

TEST_F(PromptAliasesTest, AnotherVersionThanExpectedIsAborted) {
  ASSERT_TRUE(Set("production", 2).ok());
  const auto late = Set("production", 3, 1);
  EXPECT_EQ(late.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ErrorReason(late.status()), "ALIAS_MOVED");
  EXPECT_THAT(late.status().message(), HasSubstr("is at version 2"));
  const auto exists = Set("production", 3, 0);
  EXPECT_EQ(ErrorReason(exists.status()), "ALIAS_MOVED");
  const auto missing = Set("canary", 3, 1);
  EXPECT_EQ(ErrorReason(missing.status()), "ALIAS_MOVED");
  EXPECT_THAT(missing.status().message(), HasSubstr("at no version"));
  EXPECT_TRUE(Set("canary", 3, 0).ok());
}

TEST_F(PromptAliasesTest, PointingWhereItPointsIsNoMove) {
  EXPECT_EQ(Set("production", 1)->revision, 1);
  EXPECT_EQ(History().size(), 1u);
}

TEST_F(PromptAliasesTest, RefusesWhatCannotBe) {
  for (const int64_t version : {int64_t{0}, int64_t{-1}, int64_t{4}}) {
    const auto none = Set("production", version);
    EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ErrorReason(none.status()), "VERSION_NOT_FOUND");
  }
  EXPECT_EQ(ErrorReason(Set("latest", 1).status()), "ALIAS_READ_ONLY");
  EXPECT_EQ(ErrorReason(Set("Bad Name", 1).status()), "INVALID_ALIAS_NAME");
  EXPECT_EQ(
      ErrorReason(prompts().SetAlias("default", "none", "x", 1, {}).status()),
      "TASK_NOT_FOUND");
  EXPECT_EQ(
      ErrorReason(prompts().AliasHistory("default", "pets", "x", {}).status()),
      "ALIAS_NOT_FOUND");
}

TEST_F(PromptAliasesTest, TheListHoldsLatestToo) {
  ASSERT_TRUE(Set("canary", 3).ok());
  ASSERT_TRUE(Set("zebra", 2).ok());
  const auto aliases = prompts().ListAliases("default", "pets");
  ASSERT_TRUE(aliases.ok()) << aliases.status();
  std::vector<std::pair<std::string, int64_t>> found;
  for (const Alias& alias : *aliases) {
    found.emplace_back(alias.name, alias.version);
  }
  EXPECT_THAT(found, ::testing::ElementsAre(
                         std::pair("canary", 3), std::pair("latest", 3),
                         std::pair("production", 1), std::pair("zebra", 2)));
  ASSERT_TRUE(MakeTask("empty").ok());
  EXPECT_TRUE(prompts().ListAliases("default", "empty")->empty());
}

TEST_F(PromptAliasesTest, TheirNumberIsBounded) {
  for (int i = 1; i < 100; ++i) {
    ASSERT_TRUE(Set(absl::StrCat("a", i), 1).ok());
  }
  const auto more = Set("one-more", 1);
  EXPECT_EQ(more.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(more.status()), "TOO_MANY_ALIASES");
  EXPECT_TRUE(Set("a1", 2).ok());
}

TEST_F(PromptAliasesTest, OfTwoThatExpectTheSameVersionOneWins) {
  std::atomic<int> won = 0;
  const auto race = [&](int64_t version) {
    if (Set("production", version, 1).ok()) ++won;
  };
  std::thread two(race, 2);
  std::thread three(race, 3);
  two.join();
  three.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(History().size(), 2u);
}

TEST_F(PromptAliasesTest, TheRevisionTellsThatItWentAwayAndCameBack) {
  ASSERT_TRUE(Set("production", 2).ok());
  ASSERT_TRUE(Set("production", 1).ok());
  const auto stale =
      prompts().SetAlias("default", "pets", "production", 3,
                         {.expected_version = 1, .expected_revision = 1});
  EXPECT_EQ(ErrorReason(stale.status()), "ALIAS_MOVED");
  EXPECT_THAT(stale.status().message(), HasSubstr("revision 3"));
  EXPECT_TRUE(prompts()
                  .SetAlias("default", "pets", "production", 3,
                            {.expected_version = 1, .expected_revision = 3})
                  .ok());
}

TEST_F(PromptAliasesTest, RollbackUndoesMoveAfterMoveAndIsRecorded) {
  ASSERT_TRUE(Set("production", 2).ok());
  ASSERT_TRUE(Set("production", 3).ok());
  const auto back = Rollback("production", {.actor = "bob", .reason = "dark"});
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->version, 2);
  EXPECT_EQ(back->revision, 4);
  EXPECT_EQ(History()[0].undone_revision, 3);
  EXPECT_EQ(History()[0].actor, "bob");
  EXPECT_EQ(History()[0].reason, "dark");
  // Not the rollback but the move before it.
  EXPECT_EQ(Rollback()->version, 1);
  const auto none = Rollback();
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(none.status()), "NOTHING_TO_ROLL_BACK");
  // A move after rollbacks is undone to where they led.
  ASSERT_TRUE(Set("production", 3).ok());
  EXPECT_EQ(Rollback()->version, 1);
  EXPECT_EQ(
      ErrorReason(Rollback("production", {.expected_version = 3}).status()),
      "ALIAS_MOVED");
  EXPECT_EQ(ErrorReason(Rollback("canary").status()), "ALIAS_NOT_FOUND");
  EXPECT_EQ(ErrorReason(Rollback("latest").status()), "ALIAS_READ_ONLY");
}

TEST_F(PromptAliasesTest, ADeletionIsAMoveThatCanBeRolledBack) {
  ASSERT_TRUE(Set("canary", 3).ok());
  const auto remove = [&](const AliasChange& change) {
    return prompts().DeleteAlias("default", "pets", "canary", change);
  };
  EXPECT_EQ(ErrorReason(remove({.expected_version = 2})), "ALIAS_MOVED");
  ASSERT_TRUE(remove({.expected_version = 3, .reason = "done"}).ok());
  EXPECT_EQ(
      ErrorReason(
          prompts().GetVersionByAlias("default", "pets", "canary").status()),
      "ALIAS_NOT_FOUND");
  EXPECT_EQ(ErrorReason(remove({})), "ALIAS_NOT_FOUND");
  EXPECT_EQ(History("canary")[0].version, 0);
  EXPECT_EQ(History("canary")[0].previous_version, 3);
  EXPECT_EQ(Rollback("canary")->version, 3);
  // No revision comes twice.
  EXPECT_EQ(prompts().GetAlias("default", "pets", "canary")->revision, 3);
  ASSERT_TRUE(remove({}).ok());
  EXPECT_EQ(Set("canary", 1, 0)->revision, 5);
}

TEST_F(PromptAliasesTest, TheHistoryTellsWhereAnAliasWas) {
  const absl::Time published = clock_.Now();
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(Set("production", 3).ok());
  ASSERT_TRUE(Set("canary", 2).ok());
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(prompts().DeleteAlias("default", "pets", "canary", {}).ok());
  const auto at = [&](const std::string& name, absl::Time time) {
    return prompts().GetAlias("default", "pets", name, time);
  };
  EXPECT_EQ(at("", published)->version, 1);
  EXPECT_EQ(at("production", published + absl::Minutes(59))->version, 1);
  EXPECT_EQ(at("production", published + absl::Hours(1))->version, 3);
  EXPECT_EQ(at("canary", published + absl::Hours(1))->version, 2);
  EXPECT_EQ(at("latest", published)->version, 3);
  for (const auto& none : {at("canary", published), at("canary", clock_.Now()),
                           at("production", published - absl::Seconds(1)),
                           at("latest", published - absl::Seconds(1))}) {
    EXPECT_EQ(ErrorReason(none.status()), "ALIAS_NOT_FOUND");
  }
}

TEST_F(PromptAliasesTest, TheHistoryComesInPages) {
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(Set("production", 2 + i % 2).ok());
  std::vector<int64_t> revisions;
  store::PageRequest page{.page_size = 2, .page_token = ""};
  do {
    const auto moves = prompts().AliasHistory("default", "pets", "", page);
    ASSERT_TRUE(moves.ok()) << moves.status();
    ASSERT_LE(moves->items.size(), 2u);
    for (const AliasMove& move : moves->items) {
      revisions.push_back(move.revision);
    }
    page.page_token = moves->next_page_token;
  } while (!page.page_token.empty());
  EXPECT_THAT(revisions, ::testing::ElementsAre(5, 4, 3, 2, 1));
}

TEST_F(PromptAliasesTest, NobodyRewritesTheHistory) {
  for (const char* sql : {"DELETE FROM alias_history WHERE revision=?",
                          "UPDATE alias_history SET version=2 WHERE"
                          " revision=?"}) {
    const absl::Status refused = db_->Write(
        [&](store::Transaction& tx) { return tx.Execute(sql, {1}).status(); });
    EXPECT_FALSE(refused.ok()) << sql;
  }
  EXPECT_EQ(History()[0].version, 1);
}

}  // namespace
}  // namespace promptd::registry
