#include "common/mapped_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/error.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"

namespace promptd {
namespace {

class MappedFileTest : public ::testing::Test {
 protected:
  std::string Write(absl::string_view bytes) {
    const std::string path = folder_.path() + "/file";
    EXPECT_TRUE(WriteFileAtomically(path, bytes).ok());
    return path;
  }
  testing::TempDir folder_;
};

TEST_F(MappedFileTest, HoldsTheBytes) {
  const std::string bytes(100000, 'x');
  const auto file = MappedFile::Open(Write(bytes + "y"), 100001);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->bytes(), bytes + "y");
}

TEST_F(MappedFileTest, OutlivesTheName) {
  const std::string path = Write("content");
  const auto file = MappedFile::Open(path, 100);
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::remove(path);
  EXPECT_EQ((*file)->bytes(), "content");
}

TEST_F(MappedFileTest, EmptyFilesAreEmpty) {
  const auto file = MappedFile::Open(Write(""), 100);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE((*file)->bytes().empty());
}

TEST_F(MappedFileTest, RefusesWhatReadFileRefuses) {
  EXPECT_EQ(ErrorReason(MappedFile::Open(Write("12345"), 4).status()),
            "FILE_TOO_LARGE");
  EXPECT_EQ(ErrorReason(MappedFile::Open(folder_.path() + "/no", 4).status()),
            "FILE_NOT_FOUND");
  EXPECT_EQ(ErrorReason(MappedFile::Open(folder_.path(), 4).status()),
            "NOT_A_REGULAR_FILE");
}

}  // namespace
}  // namespace promptd
