// Tasks and versions.
#include "registry/prompt_registry.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "registry/json_text.h"
#include "tests/registry/registry_fixture.h"

namespace promptd::registry {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using PromptRegistryTest = RegistryFixture;

TEST_F(PromptRegistryTest, ATaskIsMadeOnceAndSurvives) {
  const auto made = MakeTask("pets");
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(MakeTask("pets")->id, made->id);
  Open();
  const auto task = prompts().GetTask("default", "pets");
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->encoder, "tiny");
  EXPECT_THAT(task->class_names, ElementsAre("cat", "dog"));
  EXPECT_EQ(task->latest_version, 0);
  EXPECT_EQ(task->production_version, 0);
  EXPECT_EQ(ErrorReason(prompts().GetTask("other", "pets").status()),
            "TASK_NOT_FOUND");
}

TEST_F(PromptRegistryTest, AMismatchNamesBothSides) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const auto classes = MakeTask("pets", {"dog", "cat"});
  EXPECT_EQ(classes.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(classes.status()), "TASK_MISMATCH");
  EXPECT_THAT(classes.status().message(),
              AllOf(HasSubstr("[cat, dog]"), HasSubstr("[dog, cat]")));
  const auto encoder = MakeTask("pets", {"cat", "dog"}, "e2");
  EXPECT_EQ(ErrorReason(encoder.status()), "TASK_MISMATCH");
  EXPECT_THAT(encoder.status().message(),
              AllOf(HasSubstr("e1"), HasSubstr("e2")));
}

TEST_F(PromptRegistryTest, NamesFollowTheRule) {
  for (const char* good : {"a", "0", "pets-2.0_x"}) {
    EXPECT_TRUE(IsValidName(good)) << good;
  }
  EXPECT_TRUE(IsValidName(std::string(63, 'a')));
  for (const char* bad : {"", "-a", ".a", "Pets", "a/b", "a b", "ä", "../a"}) {
    EXPECT_FALSE(IsValidName(bad)) << bad;
    const auto task = MakeTask(bad);
    EXPECT_EQ(ErrorReason(task.status()), "INVALID_TASK_NAME") << bad;
    EXPECT_EQ(ErrorFields(task.status()).at(0).field, "spec.task");
  }
  EXPECT_FALSE(IsValidName(std::string(64, 'a')));
  EXPECT_FALSE(IsValidName(std::string("a\0b", 3)));
}

TEST_F(PromptRegistryTest, TasksAreListedByNameInPages) {
  for (const char* name : {"b", "c", "a"}) ASSERT_TRUE(MakeTask(name).ok());
  const auto first = prompts().ListTasks("default", {2, ""});
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_EQ(first->items[0].name, "a");
  EXPECT_EQ(first->next_page_token, "b");
  const auto second = prompts().ListTasks("default", {2, "b"});
  ASSERT_EQ(second->items.size(), 1u);
  EXPECT_EQ(second->items[0].name, "c");
  EXPECT_EQ(second->next_page_token, "");
}

TEST_F(PromptRegistryTest, AVersionIsReadAsItWasPublished) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const PromptVersion published = PublishNext("pets");
  Open();
  for (const auto& version :
       {prompts().GetVersion("default", "pets", 1),
        prompts().GetVersionByAlias("default", "pets", ""),
        prompts().GetVersionByAlias("default", "pets", "production"),
        prompts().GetVersionByAlias("default", "pets", "latest")}) {
    ASSERT_TRUE(version.ok()) << version.status();
    EXPECT_EQ(version->version, 1);
    EXPECT_EQ(version->digest, published.digest);
    EXPECT_EQ(version->context_digest, "c1");
    EXPECT_EQ(version->features_digest, "f1");
    EXPECT_EQ(version->dataset, "pets");
    EXPECT_EQ(version->dataset_digest, "d1");
    EXPECT_EQ(version->job_id, published.job_id);
    EXPECT_EQ(version->spec_json, R"({"shots":16})");
    EXPECT_EQ(version->evaluation_json, R"({"accuracy":0.5})");
    EXPECT_EQ(version->create_time, clock_.Now());
    EXPECT_THAT(version->class_names, ElementsAre("cat", "dog"));
    EXPECT_THAT(version->aliases, ElementsAre("latest", "production"));
  }
}

TEST_F(PromptRegistryTest, AManifestNamesTheHeadOfWhatHasNoContext) {
  NewVersion probe;
  probe.spec_json = R"({"method":"linear_probe"})";
  probe.features_digest = "h1";
  const std::string manifest = *VersionManifest(probe);
  EXPECT_THAT(manifest, HasSubstr(R"("head_digest":"h1")"));
  // Two probes of one specification with other weights are not one version.
  probe.features_digest = "h2";
  EXPECT_NE(*VersionManifest(probe), manifest);
  probe.context_digest = "c1";
  EXPECT_THAT(*VersionManifest(probe),
              ::testing::Not(HasSubstr("head_digest")));
}

TEST_F(PromptRegistryTest, TheManifestIsCanonicalAndVerified) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const PromptVersion version = PublishNext("pets");
  const auto manifest = prompts().ManifestJson(version);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(*manifest,
            R"({"class_names":["cat","dog"],"context_digest":"c1",)"
            R"("dataset":"pets","dataset_digest":"d1","encoder_digest":"e1",)"
            R"("job_id":1,"schema":"promptd.version.1",)"
            R"("spec":{"shots":16},"task":"pets"})");
  PromptVersion unknown = version;
  unknown.digest = std::string(64, '0');
  EXPECT_EQ(ErrorReason(prompts().ManifestJson(unknown).status()),
            "BLOB_NOT_FOUND");
}

TEST_F(PromptRegistryTest, WhatIsMissingIsNamed) {
  ASSERT_TRUE(MakeTask("pets").ok());
  const auto reason = [](const absl::StatusOr<PromptVersion>& version) {
    return ErrorReason(version.status());
  };
  EXPECT_EQ(reason(prompts().GetVersion("default", "none", 1)),
            "TASK_NOT_FOUND");
  EXPECT_EQ(reason(prompts().GetVersion("default", "pets", 1)),
            "VERSION_NOT_FOUND");
  EXPECT_EQ(reason(prompts().GetVersionByAlias("default", "pets", "")),
            "ALIAS_NOT_FOUND");
  EXPECT_EQ(reason(prompts().GetVersionByAlias("default", "pets", "latest")),
            "VERSION_NOT_FOUND");
  PublishNext("pets");
  for (const int64_t version : {int64_t{0}, int64_t{-1}, int64_t{2}}) {
    EXPECT_EQ(reason(prompts().GetVersion("default", "pets", version)),
              "VERSION_NOT_FOUND");
  }
  EXPECT_EQ(reason(prompts().GetVersionByAlias("default", "pets", "canary")),
            "ALIAS_NOT_FOUND");
}

TEST_F(PromptRegistryTest, VersionsAreListedNewestFirstInPages) {
  ASSERT_TRUE(MakeTask("pets").ok());
  for (int i = 0; i < 3; ++i) PublishNext("pets");
  const auto first = prompts().ListVersions("default", "pets", {2, ""});
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ(first->items.size(), 2u);
  EXPECT_EQ(first->items[0].version, 3);
  EXPECT_THAT(first->items[0].aliases, ElementsAre("latest"));
  const auto second =
      prompts().ListVersions("default", "pets", {2, first->next_page_token});
  ASSERT_EQ(second->items.size(), 1u);
  EXPECT_THAT(second->items[0].aliases, ElementsAre("production"));
  EXPECT_EQ(second->next_page_token, "");
  EXPECT_EQ(
      ErrorReason(prompts().ListVersions("default", "pets", {2, "?"}).status()),
      "INVALID_PAGE_TOKEN");
}

TEST_F(PromptRegistryTest, RemembersEncoders) {
  ASSERT_TRUE(prompts().RecordEncoder("e1", "tiny").ok());
  const absl::Time first = clock_.Now();
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(prompts().RecordEncoder("e1", "tiny-2").ok());
  const auto encoders = prompts().ListEncoders();
  ASSERT_TRUE(encoders.ok()) << encoders.status();
  ASSERT_EQ(encoders->size(), 1u);
  EXPECT_EQ(encoders->at(0).name, "tiny-2");
  EXPECT_EQ(encoders->at(0).first_seen, first);
  EXPECT_EQ(encoders->at(0).last_seen, clock_.Now());
}

}  // namespace
}  // namespace promptd::registry
