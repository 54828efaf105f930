#include "weights/self_test.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "common/error.h"
#include "common/file.h"
#include "tests/testing/temp_dir.h"
#include "weights/safetensors.h"

namespace promptd::weights {
namespace {

constexpr int kEmbed = 3;

class SelfTestFileTest : public ::testing::Test {
 protected:
  SelfTestFileTest() {
    test_.encoder_digest = std::string(64, 'd');
    test_.origin = "somebody";
    test_.image_features = {{kSelfTestImages, kEmbed}, {1, 2, 3, 4, 5, 6}};
    test_.text_features = {{kSelfTestTexts, kEmbed},
                           {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12}};
  }

  std::string path() const { return folder_.path() + "/" + kSelfTestFile; }
  // Without the sync of WriteFileAtomically: some tests write often.
  void Put(const std::string& bytes) const {
    std::ofstream(path(), std::ios::binary) << bytes;
  }
  // What is stored, with tensors and metadata open to change.
  void PutTensors(const std::map<std::string, FloatTensor>& tensors,
                  const std::map<std::string, std::string>& metadata) const {
    Put(WriteSafetensors(tensors, metadata).value());
  }
  absl::StatusOr<std::optional<SelfTest>> Read() const {
    return ReadSelfTest(folder_.path(), test_.encoder_digest, kEmbed);
  }
  std::string Reason() const { return ErrorReason(Read().status()); }

  testing::TempDir folder_;
  SelfTest test_;
};

bool Same(const SelfTest& a, const SelfTest& b) {
  return a.encoder_digest == b.encoder_digest && a.origin == b.origin &&
         a.image_features.values == b.image_features.values &&
         a.text_features.values == b.text_features.values;
}

TEST_F(SelfTestFileTest, WhatIsWrittenIsRead) {
  ASSERT_TRUE(WriteSelfTest(folder_.path(), test_).ok());
  const auto read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_TRUE(read->has_value());
  EXPECT_TRUE(Same(**read, test_));
  EXPECT_EQ((*read)->image_features.shape, test_.image_features.shape);
}

TEST_F(SelfTestFileTest, AFolderNeedsNone) {
  const auto read = Read();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_FALSE(read->has_value());
}

TEST_F(SelfTestFileTest, EveryFlippedBitIsFound) {
  ASSERT_TRUE(WriteSelfTest(folder_.path(), test_).ok());
  const std::string bytes = ReadFile(path(), 1 << 20).value();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    Put(flipped);
    const std::string reason = Reason();
    EXPECT_TRUE(reason == "SELF_TEST_MALFORMED" ||
                reason == "SELF_TEST_MISMATCH")
        << "bit " << bit << ": " << reason;
  }
}

TEST_F(SelfTestFileTest, AnotherEncodersIsRefused) {
  ASSERT_TRUE(WriteSelfTest(folder_.path(), test_).ok());
  const absl::Status status =
      ReadSelfTest(folder_.path(), std::string(64, 'e'), kEmbed).status();
  EXPECT_EQ(ErrorReason(status), "SELF_TEST_MISMATCH");
  const std::string message(status.message());
  EXPECT_NE(message.find(path()), std::string::npos);
  EXPECT_NE(message.find(std::string(64, 'd')), std::string::npos);
}

TEST_F(SelfTestFileTest, ShapesMustFitTheEncoder) {
  ASSERT_TRUE(WriteSelfTest(folder_.path(), test_).ok());
  EXPECT_EQ(ErrorReason(
                ReadSelfTest(folder_.path(), test_.encoder_digest, 4).status()),
            "SELF_TEST_MALFORMED");
  test_.text_features.shape = {kEmbed, kSelfTestTexts};
  ASSERT_TRUE(WriteSelfTest(folder_.path(), test_).ok());
  EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
}

TEST_F(SelfTestFileTest, WhatIsNotFiniteIsRefused) {
  for (const float value : {std::nanf(""), -INFINITY}) {
    test_.image_features.values[4] = value;
    ASSERT_TRUE(WriteSelfTest(folder_.path(), test_).ok());
    EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
  }
}

TEST_F(SelfTestFileTest, OtherFilesAreRefused) {
  const std::map<std::string, FloatTensor> tensors = {
      {"image_features", test_.image_features},
      {"text_features", test_.text_features}};
  PutTensors(tensors, {{"format", "promptd self-test 2"},
                       {"encoder_digest", test_.encoder_digest}});
  EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
  PutTensors(tensors, {});
  EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
  PutTensors({{"image_features", test_.image_features}},
             {{"format", "promptd self-test 1"},
              {"encoder_digest", test_.encoder_digest}});
  EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
  Put("words");
  EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
  Put("");
  EXPECT_EQ(Reason(), "SELF_TEST_MALFORMED");
  Put(std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(Reason(), "FILE_TOO_LARGE");
  std::filesystem::remove(path());
  std::filesystem::create_directory(path());
  EXPECT_EQ(Reason(), "NOT_A_REGULAR_FILE");
}

TEST_F(SelfTestFileTest, AFolderThatCannotBeWrittenIsAnError) {
  EXPECT_EQ(ErrorReason(WriteSelfTest(folder_.path() + "/none", test_)),
            "FILE_WRITE_FAILED");
}

}  // namespace
}  // namespace promptd::weights
