// What a connection that fails at any step costs.
#include "common/error.h"
#include "common/sha256.h"
#include "gtest/gtest.h"
#include "tests/testing/scoped_failpoints.h"
#include "tests/testing/temp_dir.h"
#include "tests/wire/wire_rig.h"

namespace promptd::wire {
namespace {

using testing::ScopedFailpoints;

class WireFailuresTest : public ::testing::Test {
 protected:
  WireFailuresTest() : front_(&control_) {}

  worker::FakeControl control_;
  FrontEnd front_;
};

TEST_F(WireFailuresTest, AWorkerThatIsNotLetInTriesAgain) {
  const ScopedFailpoints fail("worker.attach=error(UNAVAILABLE)@1");
  FakeWorker worker("w1", front_.address());
  EXPECT_TRUE(
      worker.attachment().WaitUntilAttached(absl::Now() + absl::Seconds(20)));
  EXPECT_TRUE(worker.refusal().ok()) << worker.refusal();
  EXPECT_EQ(fail.fired("worker.attach"), 1);
}

TEST_F(WireFailuresTest, ASpoiledTokenIsRefusedForGood) {
  const ScopedFailpoints fail("worker.token=spoil");
  FakeWorker worker("w1", front_.address());
  ASSERT_TRUE(Eventually([&] { return !worker.refusal().ok(); }));
  EXPECT_EQ(ErrorReason(worker.refusal()), "WORKER_UNAUTHENTICATED");
  EXPECT_EQ(worker.refusal().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_TRUE(front_.registry().Workers().empty());
  EXPECT_GE(fail.fired("worker.token"), 1);
}

TEST_F(WireFailuresTest, AStreamThatBreaksOffIsReadAgainFromItsBegin) {
  FakeWorker worker("w1", front_.address());
  const std::string bytes(3 * kChunkBytes, 'x');
  const std::string digest = *worker.control().PutBlob(bytes);
  const ScopedFailpoints fail("wire.blob=error(UNAVAILABLE)@2");
  const auto back = worker.control().GetBlob(digest);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(*back == bytes);
  EXPECT_EQ(fail.fired("wire.blob"), 1);
}

TEST_F(WireFailuresTest, BytesThatChangedOnTheWayAreNotKept) {
  testing::TempDir dir;
  const auto cache = *BlobCache::Open(dir.path(), 1 << 20);
  ControlClient control({}, Connect(front_.address()), TestToken(),
                        cache.get());
  const std::string digest = *control_.PutBlob("a checkpoint");
  const ScopedFailpoints fail("wire.bytes=spoil@1");
  const absl::Status spoiled = control.GetBlob(digest).status();
  EXPECT_EQ(spoiled.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ErrorReason(spoiled), "BLOB_CORRUPT");
  EXPECT_EQ(*control.GetBlob(digest), "a checkpoint");
}

TEST_F(WireFailuresTest, ACachedBlobThatChangedIsFetchedAgain) {
  testing::TempDir dir;
  const auto cache = *BlobCache::Open(dir.path(), 1 << 20);
  ControlClient control({}, Connect(front_.address()), TestToken(),
                        cache.get());
  const std::string digest = *control.PutBlob("features");  // cached
  const ScopedFailpoints fail("cache.bytes=spoil@1");
  EXPECT_EQ(*control.GetBlob(digest), "features");
  EXPECT_EQ(fail.fired("cache.bytes"), 1);
  EXPECT_EQ(fail.passed("wire.bytes"), 1);
}

TEST_F(WireFailuresTest, AWorkerWhoseBeatsHangGetsNoCallsUntilItBeats) {
  FakeWorker worker("w1", front_.address());
  ASSERT_TRUE(Eventually([&] { return front_.registry().AnyReady(); }));
  const ScopedFailpoints fail("worker.beat=pause(1500ms)@3");
  EXPECT_TRUE(Eventually([&] { return !front_.registry().AnyReady(); }));
  EXPECT_EQ(fail.fired("worker.beat"), 1);
  EXPECT_TRUE(Eventually([&] { return front_.registry().AnyReady(); }));
}

}  // namespace
}  // namespace promptd::wire
