#include "store/data_dir.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/sqlite_database.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/temp_dir.h"

namespace promptd::store {
namespace {

using ::testing::HasSubstr;

TEST(DataDirLockTest, ASecondHolderIsRefusedAndToldTheProcess) {
  testing::TempDir dir;
  const auto first = DataDirLock::Acquire(dir.path() + "/made/here");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = DataDirLock::Acquire(dir.path() + "/made/here");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorReason(second.status()), "DATA_DIR_IN_USE");
  EXPECT_THAT(second.status().message(),
              HasSubstr(absl::StrCat("process ", ::getpid())));
}

TEST(DataDirLockTest, ASecondDatabaseOnTheDirectoryIsRefused) {
  testing::TempDir dir;
  testing::FakeClock clock;
  auto first = OpenSqlite({.data_dir = dir.path()}, &clock);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = OpenSqlite({.data_dir = dir.path()}, &clock);
  EXPECT_EQ(ErrorReason(second.status()), "DATA_DIR_IN_USE");
  first->reset();
  EXPECT_TRUE(OpenSqlite({.data_dir = dir.path()}, &clock).ok());
}

TEST(DataDirLockTest, ADeadHolderLeavesNoLock) {
  testing::TempDir dir;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = DataDirLock::Acquire(dir.path());
    ::_exit(lock.ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(DataDirLock::Acquire(dir.path()).ok());
}

TEST(DataDirLockTest, AnUnusablePlaceIsNamed) {
  testing::TempDir dir;
  const std::string file = dir.path() + "/file";
  std::ofstream(file) << "x";
  const auto lock = DataDirLock::Acquire(file + "/below");
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(ErrorReason(lock.status()), "DATA_DIR_UNUSABLE");
  EXPECT_THAT(lock.status().message(), HasSubstr(file));
}

TEST(FileSystemTest, KnowsTheNetworkOnes) {
  EXPECT_TRUE(IsNetworkFileSystem(0x6969));                            // NFS
  EXPECT_TRUE(IsNetworkFileSystem(static_cast<int32_t>(0xff534d42)));  // CIFS
  EXPECT_TRUE(IsNetworkFileSystem(0xfe534d42));                        // SMB 2
  EXPECT_TRUE(IsNetworkFileSystem(0x65735546));                        // FUSE
  EXPECT_FALSE(IsNetworkFileSystem(0xef53));                           // ext4
  EXPECT_FALSE(IsNetworkFileSystem(0x58465342));                       // XFS
  EXPECT_FALSE(IsNetworkFileSystem(0x794c7630));  // overlay
}

}  // namespace
}  // namespace promptd::store
