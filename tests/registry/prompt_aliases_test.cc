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
    return prompts().SetAlias("default", "pets", name, version, expected);
  }
};

TEST_F(PromptAliasesTest, MovesGrowTheRevisionAndStayInTheHistory) {
  clock_.Advance(absl::Hours(1));
  const auto moved = Set("production", 3, 1);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->revision, 2);
  EXPECT_EQ(moved->update_time, clock_.Now());
  EXPECT_EQ(Set("", 2)->revision, 3);
  const auto history = prompts().AliasHistory("default", "pets", "");
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(history->size(), 3u);
  EXPECT_EQ((*history)[0].previous_version, 0);
  EXPECT_EQ((*history)[0].version, 1);
  EXPECT_EQ((*history)[1].previous_version, 1);
  EXPECT_EQ((*history)[1].version, 3);
  EXPECT_EQ((*history)[2].revision, 3);
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
  EXPECT_EQ(prompts().AliasHistory("default", "pets", "")->size(), 1u);
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
      ErrorReason(prompts().AliasHistory("default", "pets", "x").status()),
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
  EXPECT_EQ(prompts().AliasHistory("default", "pets", "")->size(), 2u);
}

}  // namespace
}  // namespace promptd::registry
