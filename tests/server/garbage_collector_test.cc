// Garbage collection that a server does by itself.
#include "server/garbage_collector.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "promptd/v1/storage.grpc.pb.h"
#include "tests/server/server_fixture.h"

namespace promptd::server {
namespace {

class GarbageCollectorTest : public ServerFixture {
 protected:
  // A blob that was stored `age` ago.
  std::string Blob(const std::string& bytes, absl::Duration age) {
    const std::string digest = *server_->control()->PutBlob(bytes);
    Age(absl::StrCat(dir_.path(), "/data/blobs/", digest.substr(0, 2), "/",
                     digest.substr(2)),
        age);
    return digest;
  }
  // Everything that is stored was so a day ago.
  void AgeAll() {
    for (const auto& file : std::filesystem::recursive_directory_iterator(
             dir_.path() + "/data/blobs")) {
      if (file.is_regular_file()) Age(file.path());
    }
  }
  static void Age(const std::string& path,
                  absl::Duration age = absl::Hours(25)) {
    const timespec then = absl::ToTimespec(absl::Now() - age);
    const timespec times[2] = {then, then};
    EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  bool Has(const std::string& digest) {
    return server_->control()->GetBlob(digest).ok();
  }
  void Every(absl::Duration interval) {
    ServerOptions options = DefaultOptions();
    options.gc_interval = interval;
    StartServer(options);
  }
  bool Says(const std::string& line) {
    return absl::StrContains(Metrics(), "\n" + line + "\n");
  }
};

TEST_F(GarbageCollectorTest, CollectsAtItsIntervalAndCounts) {
  Every(absl::Milliseconds(20));
  const std::string young = Blob("young", absl::Hours(23));
  const std::string old = Blob("old one", absl::Hours(25));
  const absl::Time until = absl::Now() + absl::Seconds(30);
  while (Has(old) && absl::Now() < until) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_FALSE(Has(old));
  EXPECT_TRUE(Has(young));
  while (!Says("promptd_garbage_removed_blobs_total 1") &&
         absl::Now() < until) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_TRUE(Says("promptd_garbage_removed_blobs_total 1"));
  EXPECT_TRUE(Says("promptd_garbage_removed_bytes_total 7"));
  EXPECT_FALSE(
      Says("promptd_garbage_collections_total{result=\"succeeded\"} 0"));
}

TEST_F(GarbageCollectorTest, OrNeverByItself) {
  Every(absl::ZeroDuration());
  const std::string old = Blob("old", absl::Hours(25));
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_TRUE(Has(old));
  EXPECT_TRUE(
      Says("promptd_garbage_collections_total{result=\"succeeded\"} 0"));
  // What is asked for is counted as well.
  Context context;
  v1::CollectGarbageResponse reply;
  const auto storage = v1::StorageService::NewStub(channel_);
  ASSERT_TRUE(
      storage->CollectGarbage(&context, v1::CollectGarbageRequest(), &reply)
          .ok());
  EXPECT_EQ(reply.deleted().blobs(), 1);
  EXPECT_FALSE(Has(old));
  EXPECT_TRUE(Says("promptd_garbage_removed_bytes_total 3"));
  EXPECT_TRUE(
      Says("promptd_garbage_collections_total{result=\"succeeded\"} 1"));
}

TEST_F(GarbageCollectorTest, LeavesWhatAJobAndADatasetNeed) {
  Every(absl::ZeroDuration());
  PushPets();
  TrainOnce();
  AgeAll();
  Every(absl::Milliseconds(20));
  const absl::Time until = absl::Now() + absl::Seconds(30);
  const auto none = "promptd_garbage_collections_total{result=\"succeeded\"} 0";
  while (Says(none) && absl::Now() < until) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_FALSE(Says(none));
  EXPECT_TRUE(Says("promptd_garbage_removed_blobs_total 0"));
  CreateJob(PetsJob());
  EXPECT_EQ(Publish(Lease()), 2);
}

}  // namespace
}  // namespace promptd::server
