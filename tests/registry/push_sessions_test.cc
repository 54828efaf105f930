#include "registry/push_sessions.h"

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace promptd::registry {
namespace {

using ::testing::ElementsAre;

DatasetDraft Draft() {
  DatasetDraft draft;
  draft.name = "pets";
  draft.manifest_json = std::string(100, 'm');
  draft.image_digests = {"b", "a", "b"};
  return draft;
}

TEST(PushSessionsTest, KeepsADraftForItsTenant) {
  testing::FakeClock clock;
  PushSessions pushes(&clock);
  const auto id = pushes.Begin("default", Draft());
  ASSERT_TRUE(id.ok()) << id.status();
  const auto draft = pushes.Get("default", *id);
  ASSERT_TRUE(draft.ok()) << draft.status();
  EXPECT_THAT((*draft)->image_digests, ElementsAre("a", "b"));
  EXPECT_TRUE(PushSessions::NamesImage(**draft, "a"));
  EXPECT_FALSE(PushSessions::NamesImage(**draft, "c"));
  EXPECT_EQ(ErrorReason(pushes.Get("other", *id).status()), "PUSH_NOT_FOUND");
  pushes.End("other", *id);
  EXPECT_TRUE(pushes.Get("default", *id).ok());
  pushes.End("default", *id);
  EXPECT_EQ(ErrorReason(pushes.Get("default", *id).status()), "PUSH_NOT_FOUND");
  EXPECT_EQ((*draft)->name, "pets");
}

TEST(PushSessionsTest, AnUnusedPushExpiresAndUseKeepsIt) {
  testing::FakeClock clock;
  PushSessions pushes(&clock, {.ttl = absl::Minutes(10)});
  const std::string id = *pushes.Begin("default", Draft());
  for (int i = 0; i < 3; ++i) {
    clock.Advance(absl::Minutes(9));
    EXPECT_TRUE(pushes.Get("default", id).ok());
  }
  clock.Advance(absl::Minutes(11));
  EXPECT_EQ(ErrorReason(pushes.Get("default", id).status()), "PUSH_NOT_FOUND");
}

TEST(PushSessionsTest, NumbersAndBytesAreBounded) {
  testing::FakeClock clock;
  PushSessions pushes(&clock, {.max_pushes = 3, .max_pushes_tenant = 2});
  const std::string first = *pushes.Begin("a", Draft());
  ASSERT_TRUE(pushes.Begin("a", Draft()).ok());
  const auto third = pushes.Begin("a", Draft());
  EXPECT_EQ(third.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(third.status()), "TOO_MANY_PUSHES");
  ASSERT_TRUE(pushes.Begin("b", Draft()).ok());
  EXPECT_EQ(ErrorReason(pushes.Begin("c", Draft()).status()),
            "TOO_MANY_PUSHES");
  pushes.End("a", first);
  EXPECT_TRUE(pushes.Begin("c", Draft()).ok());
}

TEST(PushSessionsTest, BytesComeBackWhenPushesEnd) {
  testing::FakeClock clock;
  PushSessions pushes(&clock, {.max_bytes = 1000, .ttl = absl::Minutes(1)});
  for (int i = 0; i < 10; ++i) {
    const auto id = pushes.Begin("default", Draft());
    ASSERT_TRUE(id.ok()) << id.status();
    if (i % 2 == 0) pushes.End("default", *id);
    clock.Advance(absl::Minutes(2));
  }
  DatasetDraft large = Draft();
  large.manifest_json = std::string(2000, 'm');
  EXPECT_EQ(ErrorReason(pushes.Begin("default", large).status()),
            "TOO_MANY_PUSHES");
}

}  // namespace
}  // namespace promptd::registry
