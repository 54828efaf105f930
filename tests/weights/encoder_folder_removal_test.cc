#include "weights/encoder_folder_removal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "common/error.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"

namespace promptd::weights {
namespace {

class EncoderFolderRemovalTest : public ::testing::Test {
 protected:
  void Make(const std::string& name) {
    const std::string folder = Path(name) + "/inside";
    std::filesystem::create_directories(folder);
    ASSERT_TRUE(WriteFileAtomically(folder + "/file", "bytes").ok());
  }
  std::string Path(const std::string& name) const {
    return encoders_.path() + "/" + name;
  }
  std::set<std::string> Entries() const {
    std::set<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(encoders_.path())) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  promptd::testing::TempDir encoders_;
};

TEST_F(EncoderFolderRemovalTest, LeavesNothingOfItAndAllOfTheOthers) {
  Make("gone");
  Make("stays");
  const absl::Status status = RemoveEncoderFolder(Path("gone"));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(Entries(), std::set<std::string>{"stays"});
  EXPECT_TRUE(std::filesystem::exists(Path("stays/inside/file")));
}

TEST_F(EncoderFolderRemovalTest, ALinkGoesAndWhatItNamesStays) {
  Make("real");
  std::filesystem::create_directory_symlink(Path("real"), Path("link"));
  ASSERT_TRUE(RemoveEncoderFolder(Path("link")).ok());
  EXPECT_EQ(Entries(), std::set<std::string>{"real"});
  EXPECT_TRUE(std::filesystem::exists(Path("real/inside/file")));
}

TEST_F(EncoderFolderRemovalTest, AMissingFolderIsNamed) {
  Make("stays");
  const absl::Status status = RemoveEncoderFolder(Path("none"));
  EXPECT_EQ(ErrorReason(status), "FILE_WRITE_FAILED");
  EXPECT_NE(std::string(status.message()).find(Path("none")),
            std::string::npos);
  EXPECT_EQ(Entries(), std::set<std::string>{"stays"});
}

TEST_F(EncoderFolderRemovalTest, LeftoversOfAKilledRemovalGoAndNothingElse) {
  Make(".remove-0000");
  Make(".remove-1111");
  Make(".import-2222");  // may be under way
  Make("encoder");
  RemoveLeftovers(encoders_.path());
  EXPECT_EQ(Entries(), (std::set<std::string>{".import-2222", "encoder"}));
  RemoveLeftovers(Path("none"));
}

}  // namespace
}  // namespace promptd::weights
