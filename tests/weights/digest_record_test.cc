#include "weights/digest_record.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"
#include "weights/encoder_folder.h"

namespace promptd::weights {
namespace {

class DigestRecordTest : public ::testing::Test {
 protected:
  DigestRecordTest() {
    Write(paths_[0], "one");
    Write(paths_[1], "two");
  }
  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path) << bytes;
  }
  // As if the files had been written long ago.
  bool Record(const std::vector<std::string>& marks) const {
    return RecordDigest(folder_.path(), digest_, paths_, marks,
                        absl::Now() + absl::Minutes(1));
  }
  std::optional<std::string> Recorded() const {
    return RecordedDigest(folder_.path(), FileMarks(paths_));
  }

  const testing::TempDir folder_;
  const std::vector<std::string> paths_ = {folder_.path() + "/a",
                                           folder_.path() + "/b"};
  const std::string digest_ = std::string(64, 'd');
};

TEST_F(DigestRecordTest, IsFoundAsLongAsNobodyTouchesTheFiles) {
  EXPECT_EQ(Recorded(), std::nullopt);
  ASSERT_TRUE(Record(FileMarks(paths_)));
  EXPECT_EQ(Recorded(), digest_);
}

TEST_F(DigestRecordTest, EveryChangeOfAFileForgetsIt) {
  const std::vector<std::function<void()>> changes = {
      [&] { Write(paths_[0], "longer"); },
      [&] { Write(paths_[1], "owt"); },  // the same size
      [&] {                              // as a careful forger would
        struct stat before;
        ASSERT_EQ(::stat(paths_[0].c_str(), &before), 0);
        Write(paths_[0], "eno");
        const timespec times[] = {before.st_atim, before.st_mtim};
        ASSERT_EQ(::utimensat(AT_FDCWD, paths_[0].c_str(), times, 0), 0);
      },
      [&] {  // another file of that name
        Write(folder_.path() + "/other", "one");
        std::filesystem::rename(folder_.path() + "/other", paths_[0]);
      },
      [&] { std::filesystem::remove(paths_[1]); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    ASSERT_TRUE(Record(FileMarks(paths_)));
    ASSERT_EQ(Recorded(), digest_);
    absl::SleepFor(absl::Milliseconds(20));  // the clock of files is coarse
    changes[i]();
    EXPECT_EQ(Recorded(), std::nullopt) << i;
  }
}

TEST_F(DigestRecordTest, FilesThatChangeMeanwhileAreNotRecorded) {
  const auto marks = FileMarks(paths_);
  absl::SleepFor(absl::Milliseconds(20));
  Write(paths_[0], "changed");
  EXPECT_FALSE(Record(marks));
  EXPECT_EQ(Recorded(), std::nullopt);
}

TEST_F(DigestRecordTest, FreshFilesAreNotRecorded) {
  EXPECT_FALSE(RecordDigest(folder_.path(), digest_, paths_, FileMarks(paths_),
                            absl::Now()));
}

TEST_F(DigestRecordTest, ADamagedRecordIsNone) {
  ASSERT_TRUE(Record(FileMarks(paths_)));
  const std::string path = folder_.path() + "/" + kDigestRecordFile;
  const std::string good = *ReadFile(path, 1 << 16);
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"),
        good.substr(0, good.size() / 2), std::string("{\"digest\":\"x\"}")}) {
    Write(path, bad);
    EXPECT_EQ(Recorded(), std::nullopt) << bad;
  }
  Write(path, good);
  EXPECT_EQ(Recorded(), digest_);
}

// An encoder folder with 64 MiB of weights.
TEST_F(DigestRecordTest, LargeEncodersAreHashedOnce) {
  const std::string path = folder_.path() + "/large";
  std::filesystem::create_directory(path);
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  ASSERT_NE(source, nullptr) << "run it through ctest";
  for (const char* file : {kEncoderConfigFile, kEncoderMergesFile}) {
    std::filesystem::copy(absl::StrCat(source, "/models/embedded/", file),
                          path);
  }
  FloatTensor zeros{{16 << 20}, std::vector<float>(16 << 20)};
  Write(path + "/" + kEncoderWeightsFile,
        *WriteSafetensors({{"zeros", std::move(zeros)}}));
  absl::SleepFor(absl::Milliseconds(2100));  // no longer too new
  std::string digest;
  for (const bool recorded : {false, true}) {
    const auto folder = EncoderFolder::Open(path);
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(folder->digest_from_record, recorded);
    if (!recorded) {
      digest = folder->digest.get();
      EXPECT_TRUE(RememberDigest(path, digest, folder->marks));
    }
    EXPECT_EQ(folder->digest.get(), digest);
  }
  EXPECT_EQ(HashEncoderFolder(path).value(), digest);
  // And again when a byte changes.
  std::fstream(path + "/" + kEncoderMergesFile,
               std::ios::in | std::ios::out | std::ios::ate)
      << "\n";
  const auto folder = EncoderFolder::Open(path);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_FALSE(folder->digest_from_record);
  EXPECT_NE(folder->digest.get(), digest);
  ForgetDigest(path);
  EXPECT_FALSE(
      std::filesystem::exists(absl::StrCat(path, "/", kDigestRecordFile)));
}

}  // namespace
}  // namespace promptd::weights
