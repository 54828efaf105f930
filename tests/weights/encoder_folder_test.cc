#include "weights/encoder_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "tests/testing/temp_dir.h"

namespace promptd::weights {
namespace {

constexpr char kConfig[] = R"({
  "model_cfg": {"embed_dim": 8,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 32},
    "text_cfg": {"vocab_size": 600, "width": 8, "heads": 1, "layers": 1}},
  "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}})";

class EncoderFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = temporary_.path() + "/small-1";
    std::filesystem::create_directories(path_);
    Write(kEncoderConfigFile, kConfig);
    Write(kEncoderMergesFile, "#version\na b\n");
    Write(kEncoderWeightsFile,
          WriteSafetensors({{"logit_scale", {{}, {1}}}}).value());
  }

  void Write(const std::string& file, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(path_ + "/" + file, bytes).ok());
  }
  std::string Digest() {
    const auto folder = EncoderFolder::Open(path_);
    EXPECT_TRUE(folder.ok()) << folder.status();
    return folder.ok() ? folder->digest.get() : "";
  }

  promptd::testing::TempDir temporary_;
  std::string path_;
};

TEST_F(EncoderFolderTest, ReadsAllThreeFiles) {
  for (const std::string& path : {path_, path_ + "/", path_ + "/."}) {
    const auto folder = EncoderFolder::Open(path);
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(folder->name, "small-1");
    EXPECT_TRUE(IsSha256Hex(folder->digest.get()));
    EXPECT_EQ(folder->config.embed_dim, 8);
    EXPECT_EQ(folder->tensors.tensors().count("logit_scale"), 1u);
    EXPECT_EQ(folder->merges, "#version\na b\n");
  }
}

TEST_F(EncoderFolderTest, DigestChangesWithEachFileAndNothingElse) {
  std::set<std::string> digests = {Digest()};
  Write("README.md", "words");
  EXPECT_EQ(digests.count(Digest()), 1u);
  const std::string renamed = temporary_.path() + "/other";
  std::filesystem::rename(path_, renamed);
  path_ = renamed;
  EXPECT_EQ(digests.count(Digest()), 1u);
  Write(kEncoderConfigFile, std::string(kConfig) + "\n");
  EXPECT_TRUE(digests.insert(Digest()).second);
  Write(kEncoderMergesFile, "#version\na c\n");
  EXPECT_TRUE(digests.insert(Digest()).second);
  Write(kEncoderWeightsFile,
        WriteSafetensors({{"logit_scale", {{}, {2}}}}).value());
  EXPECT_TRUE(digests.insert(Digest()).second);
}

TEST_F(EncoderFolderTest, TheDigestOnDiskIsTheOneOfOpen) {
  const std::string loaded = Digest();
  EXPECT_EQ(HashEncoderFolder(path_).value(), loaded);
  // Nothing is parsed: a broken encoder has a digest as well.
  for (const char* file :
       {kEncoderConfigFile, kEncoderMergesFile, kEncoderWeightsFile}) {
    SetUp();
    Write(file, "broken");
    const auto digest = HashEncoderFolder(path_);
    ASSERT_TRUE(digest.ok()) << digest.status();
    EXPECT_NE(*digest, loaded);
    std::filesystem::remove(path_ + "/" + file);
    EXPECT_EQ(ErrorReason(HashEncoderFolder(path_).status()), "FILE_NOT_FOUND");
  }
  SetUp();
  EXPECT_EQ(ErrorReason(HashEncoderFolder(path_, [] { return true; }).status()),
            "CANCELLED");
}

TEST_F(EncoderFolderTest, EachFileMustBeThereAndGood) {
  for (const char* file :
       {kEncoderConfigFile, kEncoderMergesFile, kEncoderWeightsFile}) {
    SetUp();
    std::filesystem::remove(path_ + "/" + file);
    const auto folder = EncoderFolder::Open(path_);
    EXPECT_EQ(ErrorReason(folder.status()), "FILE_NOT_FOUND");
    EXPECT_NE(std::string(folder.status().message()).find(file),
              std::string::npos);
  }
  SetUp();
  Write(kEncoderConfigFile, "{}");
  EXPECT_EQ(ErrorReason(EncoderFolder::Open(path_).status()),
            "BAD_ENCODER_CONFIG");
  Write(kEncoderConfigFile, kConfig);
  Write(kEncoderWeightsFile, "short");
  EXPECT_EQ(ErrorReason(EncoderFolder::Open(path_).status()),
            "SAFETENSORS_TRUNCATED");
  Write(kEncoderMergesFile, std::string((16 << 20) + 1, 'x'));
  EXPECT_EQ(ErrorReason(EncoderFolder::Open(path_).status()), "FILE_TOO_LARGE");
}

TEST_F(EncoderFolderTest, FolderNamesAreChecked) {
  for (const char* name : {"Upper", "a b", ".hidden", "caf\u00e9"}) {
    const std::string path = temporary_.path() + "/" + name;
    std::filesystem::copy(path_, path);
    EXPECT_EQ(ErrorReason(EncoderFolder::Open(path).status()),
              "BAD_ENCODER_NAME");
  }
  EXPECT_FALSE(IsEncoderName(""));
  EXPECT_FALSE(IsEncoderName(std::string(65, 'a')));
  EXPECT_TRUE(IsEncoderName("rn50-2.x_y"));
}

}  // namespace
}  // namespace promptd::weights
