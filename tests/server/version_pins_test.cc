#include "server/version_pins.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/registry/registry_fixture.h"
#include "worker/training_spec.h"

namespace promptd::server {
namespace {

using ::testing::ElementsAre;

class VersionPinsTest : public registry::RegistryFixture {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeTask("pets").ok());
    PublishAs("coop");
    PublishAs("coop");
  }
  // The number of the next version, learned by a method.
  int64_t PublishAs(const std::string& method) {
    const jobs::Job job = Running("pets");
    registry::NewVersion version = VersionOf(job);
    worker::TrainingSpec spec;
    spec.method = method;
    version.spec_json = worker::TrainingSpecToJson(spec);
    const auto published = Publish(job, version);
    EXPECT_TRUE(published.ok()) << published.status();
    return published.ok() ? published->version : 0;
  }
  // The number that an alias means; -1: an error.
  int64_t At(VersionPins& pins, const std::string& alias) {
    const auto pin = pins.ByAlias("default", "pets", alias);
    return pin.ok() ? (*pin)->version : -1;
  }
  void Set(const std::string& alias, int64_t version) {
    const auto set = prompts().SetAlias("default", "pets", alias, version, {});
    ASSERT_TRUE(set.ok()) << set.status();
  }
};

TEST_F(VersionPinsTest, AVersionIsReadOnce) {
  VersionPins pins(&prompts());
  const auto first = pins.ByAlias("default", "pets", "");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->version, 1);
  EXPECT_EQ((*first)->features_digest, "f1");
  EXPECT_EQ((*first)->encoder_digest, "e1");
  EXPECT_EQ((*first)->digest.size(), 64u);
  EXPECT_EQ((*first)->image_tower, "");
  EXPECT_THAT((*first)->class_names, ElementsAre("cat", "dog"));
  // The same object: no second look.
  EXPECT_EQ(*pins.ByAlias("default", "pets", "production"), *first);
  const auto second = pins.ByNumber("default", "pets", 2);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(*pins.ByNumber("default", "pets", 2), *second);
}

TEST_F(VersionPinsTest, NamesFollowTheRegistry) {
  VersionPins pins(&prompts());
  EXPECT_EQ(At(pins, ""), 1);
  EXPECT_EQ(At(pins, "latest"), 2);
  Set("", 2);
  EXPECT_EQ(At(pins, ""), 2);
  EXPECT_EQ(At(pins, "beta"), -1);
  Set("beta", 1);
  EXPECT_EQ(At(pins, "beta"), 1);
  PublishAs("coop");
  EXPECT_EQ(At(pins, "latest"), 3);
  EXPECT_EQ(At(pins, "beta"), 1);
}

TEST_F(VersionPinsTest, WhatIsDeletedIsGone) {
  VersionPins pins(&prompts());
  Set("beta", 2);
  EXPECT_EQ(At(pins, "beta"), 2);
  EXPECT_TRUE(pins.ByNumber("default", "pets", 2).ok());
  ASSERT_TRUE(prompts().DeleteAlias("default", "pets", "beta", {}).ok());
  EXPECT_EQ(At(pins, "beta"), -1);
  ASSERT_TRUE(db_->Write([&](store::Transaction& tx) {
                   return prompts().DeleteVersion(tx, "default", "pets", 2);
                 })
                  .ok());
  EXPECT_EQ(ErrorReason(pins.ByNumber("default", "pets", 2).status()),
            "VERSION_NOT_FOUND");
  EXPECT_EQ(At(pins, "latest"), 1);
}

TEST_F(VersionPinsTest, AVersionsOwnTowerIsNamed) {
  PublishAs("image_encoder");
  VersionPins pins(&prompts());
  EXPECT_EQ((*pins.ByAlias("default", "pets", "latest"))->image_tower, "c1");
}

TEST_F(VersionPinsTest, ErrorsAreTheRegistrysAndNotKept) {
  VersionPins pins(&prompts());
  EXPECT_EQ(ErrorReason(pins.ByNumber("default", "pets", 3).status()),
            "VERSION_NOT_FOUND");
  EXPECT_EQ(ErrorReason(pins.ByAlias("default", "pets", "beta").status()),
            "ALIAS_NOT_FOUND");
  EXPECT_EQ(ErrorReason(pins.ByAlias("other", "pets", "").status()),
            "TASK_NOT_FOUND");
  EXPECT_EQ(ErrorReason(
                pins.ByAlias("default", std::string("pets\0", 5), "").status()),
            "TASK_NOT_FOUND");
  PublishAs("coop");
  EXPECT_TRUE(pins.ByNumber("default", "pets", 3).ok());
}

TEST_F(VersionPinsTest, WithoutRoomNothingIsKept) {
  VersionPins pins(&prompts(), 1);
  const auto first = pins.ByAlias("default", "pets", "");
  ASSERT_TRUE(first.ok());
  EXPECT_NE(*pins.ByAlias("default", "pets", ""), *first);
}

// Once a move is acknowledged, or seen by anybody, nobody sees what was before.
TEST_F(VersionPinsTest, NobodySeesAnOlderVersionAfterANewerOne) {
  VersionPins pins(&prompts());
  std::atomic<int64_t> seen = 1;
  std::atomic<bool> stop = false;
  std::atomic<int> backwards = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const int64_t before = seen;
        const int64_t now = At(pins, "latest");
        if (now < before) ++backwards;
        int64_t old = before;
        while (old < now && !seen.compare_exchange_weak(old, now)) {
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    const int64_t made = PublishAs("coop");
    if (At(pins, "latest") != made) ++backwards;
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(backwards, 0);
  EXPECT_EQ(seen, 52);
}

}  // namespace
}  // namespace promptd::server
