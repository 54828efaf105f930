// Tags, lineage and deletion of versions.
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/registry/registry_fixture.h"

namespace promptd::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using TagMap = std::map<std::string, std::string>;

class VersionCareTest : public RegistryFixture {
 protected:
  VersionCareTest() {
    EXPECT_TRUE(MakeTask("pets").ok());
    for (int i = 0; i < 3; ++i) PublishNext("pets");
  }

  absl::StatusOr<TagMap> Tag(int64_t version, const TagMap& set,
                             const std::vector<std::string>& remove = {}) {
    return prompts().ChangeTags("default", "pets", version, set, remove);
  }
  std::vector<int64_t> Listed(const std::vector<TagFilter>& tags) {
    std::vector<int64_t> numbers;
    const auto page = prompts().ListVersions("default", "pets", {}, tags);
    EXPECT_TRUE(page.ok()) << page.status();
    if (!page.ok()) return numbers;
    for (const auto& version : page->items) numbers.push_back(version.version);
    return numbers;
  }
  absl::Status Delete(int64_t version) {
    return db_->Write([&](store::Transaction& tx) {
      return prompts().DeleteVersion(tx, "default", "pets", version);
    });
  }
  absl::Status DeleteTask(const std::string& task) {
    return db_->Write([&](store::Transaction& tx) {
      return prompts().DeleteTask(tx, "default", task);
    });
  }
  // A version of `task` from another one's context.
  PromptVersion PublishFrom(const std::string& task, const std::string& source,
                            int64_t version,
                            const std::string& dataset_digest = "d1") {
    const jobs::Job job = Running(task, dataset_digest);
    NewVersion content = VersionOf(job);
    content.source_task = source;
    content.source_version = version;
    auto published = Publish(job, content);
    EXPECT_TRUE(published.ok()) << published.status();
    return published.ok() ? *std::move(published) : PromptVersion();
  }
  std::vector<std::string> Derived(const Origin& origin, int page_size = 0) {
    std::vector<std::string> names;
    store::PageRequest page{.page_size = page_size, .page_token = ""};
    do {
      const auto found = prompts().ListDerived("default", origin, page);
      EXPECT_TRUE(found.ok()) << found.status();
      if (!found.ok()) break;
      for (const auto& version : found->items) {
        names.push_back(absl::StrCat(version.task, ":", version.version));
      }
      page.page_token = found->next_page_token;
    } while (!page.page_token.empty());
    return names;
  }
};

TEST_F(VersionCareTest, TagsAreWrittenRemovedAndSearched) {
  EXPECT_THAT(*Tag(1, {{"night", ""}, {"by", "ann"}}),
              ElementsAre(Pair("by", "ann"), Pair("night", "")));
  EXPECT_THAT(*Tag(1, {{"by", "bob"}}, {"night", "nothing"}),
              ElementsAre(Pair("by", "bob")));
  ASSERT_TRUE(Tag(3, {{"by", "ann"}, {"night", ""}}).ok());
  EXPECT_THAT(*prompts().Tags("default", "pets", 1),
              ElementsAre(Pair("by", "bob")));
  EXPECT_THAT(Listed({{"by", {}}}), ElementsAre(3, 1));
  EXPECT_THAT(Listed({{"by", "ann"}}), ElementsAre(3));
  EXPECT_THAT(Listed({{"by", "ann"}, {"night", ""}}), ElementsAre(3));
  EXPECT_THAT(Listed({{"by", "bob"}, {"night", {}}}), IsEmpty());
  EXPECT_THAT(prompts().ListVersions("default", "pets", {})->items[0].tags,
              ElementsAre(Pair("by", "ann"), Pair("night", "")));
  EXPECT_EQ(ErrorReason(Tag(9, {{"a", ""}}).status()), "VERSION_NOT_FOUND");
}

TEST_F(VersionCareTest, TheNumberOfTagsIsBounded) {
  TagMap many;
  for (int i = 0; i < 32; ++i) many[absl::StrCat("k", i)] = "v";
  ASSERT_TRUE(Tag(1, many).ok());
  const auto more = Tag(1, {{"one-more", ""}});
  EXPECT_EQ(more.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(more.status()), "TOO_MANY_TAGS");
  EXPECT_EQ(prompts().Tags("default", "pets", 1)->size(), 32u);
  EXPECT_TRUE(Tag(1, {{"one-more", ""}}, {"k0"}).ok());
}

TEST_F(VersionCareTest, LineageIsFoundForwardsAndBackwards) {
  ASSERT_TRUE(MakeTask("birds").ok());
  PublishFrom("birds", "pets", 2);
  PublishFrom("birds", "birds", 1, "d2");
  EXPECT_THAT(Derived({.source_task = "pets", .source_version = 2}),
              ElementsAre("birds:1"));
  EXPECT_THAT(Derived({.dataset_digest = "d2"}), ElementsAre("birds:2"));
  EXPECT_THAT(Derived({.dataset_digest = "d1"}, 2),
              ElementsAre("pets:1", "pets:2", "pets:3", "birds:1"));
  EXPECT_EQ(Derived({.encoder_digest = "e1"}, 3).size(), 5u);
  EXPECT_THAT(Derived({.encoder_digest = "e2"}), IsEmpty());
  const auto chain = prompts().Ancestors("default", "birds", 2);
  ASSERT_TRUE(chain.ok()) << chain.status();
  ASSERT_EQ(chain->size(), 2u);
  EXPECT_EQ((*chain)[0].task, "birds");
  EXPECT_EQ((*chain)[0].version, 1);
  EXPECT_EQ((*chain)[1].task, "pets");
  EXPECT_EQ((*chain)[1].version, 2);
  EXPECT_EQ((*chain)[1].digest,
            prompts().GetVersion("default", "pets", 2)->digest);
  // What is gone is still said to have been there.
  ASSERT_TRUE(Delete(2).ok());
  EXPECT_EQ(prompts().Ancestors("default", "birds", 2)->at(1).digest, "");
  EXPECT_THAT(*prompts().Ancestors("default", "pets", 1), IsEmpty());
  for (const char* token : {"x", "1", "1.x", "1.2.3"}) {
    EXPECT_EQ(ErrorReason(prompts()
                              .ListDerived("default", {.dataset_digest = "d1"},
                                           {.page_token = token})
                              .status()),
              "INVALID_PAGE_TOKEN");
  }
}

TEST_F(VersionCareTest, OtherTenantsVersionsAreNotFound) {
  EXPECT_TRUE(prompts()
                  .ListDerived("other", {.dataset_digest = "d1"}, {})
                  ->items.empty());
  EXPECT_EQ(
      ErrorReason(prompts()
                      .ListDerived("other",
                                   {.source_task = "pets", .source_version = 1},
                                   {})
                      .status()),
      "TASK_NOT_FOUND");
}

TEST_F(VersionCareTest, AVersionThatAnAliasNamesStays) {
  const absl::Status named = Delete(1);
  EXPECT_EQ(named.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(named), "VERSION_IN_USE");
  EXPECT_THAT(named.message(), HasSubstr("production"));
  EXPECT_TRUE(prompts().GetVersion("default", "pets", 1).ok());
  ASSERT_TRUE(prompts().SetAlias("default", "pets", "", 2, {}).ok());
  ASSERT_TRUE(Tag(1, {{"old", ""}}).ok());
  EXPECT_TRUE(Delete(1).ok());
  EXPECT_EQ(ErrorReason(Delete(1)), "VERSION_NOT_FOUND");
  EXPECT_TRUE(
      prompts().ListEvaluations("default", "pets", 0, {})->items.size() == 2u);
  // The alias cannot go back to it.
  EXPECT_EQ(
      ErrorReason(prompts().RollbackAlias("default", "pets", "", {}).status()),
      "VERSION_GONE");
}

TEST_F(VersionCareTest, TheNumberOfADeletedVersionIsNotUsedAgain) {
  ASSERT_TRUE(Delete(3).ok());
  EXPECT_EQ(prompts().GetTask("default", "pets")->latest_version, 2);
  EXPECT_EQ(prompts().GetVersionByAlias("default", "pets", "latest")->version,
            2);
  EXPECT_EQ(
      ErrorReason(prompts().SetAlias("default", "pets", "x", 3, {}).status()),
      "VERSION_NOT_FOUND");
  EXPECT_EQ(PublishNext("pets").version, 4);
}

TEST_F(VersionCareTest, ATaskWithoutAliasesCanGo) {
  const absl::Status named = DeleteTask("pets");
  EXPECT_EQ(ErrorReason(named), "TASK_IN_USE");
  EXPECT_THAT(named.message(), HasSubstr("production"));
  ASSERT_TRUE(prompts().DeleteAlias("default", "pets", "", {}).ok());
  ASSERT_TRUE(DeleteTask("pets").ok());
  EXPECT_EQ(ErrorReason(DeleteTask("pets")), "TASK_NOT_FOUND");
  // Another one of that name begins anew.
  ASSERT_TRUE(MakeTask("pets", {"cat", "dog"}).ok());
  EXPECT_EQ(PublishNext("pets").version, 1);
  EXPECT_EQ(prompts().AliasHistory("default", "pets", "", {})->items.size(),
            1u);
}

}  // namespace
}  // namespace promptd::registry
