#include "weights/encoder_folder_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "common/error.h"
#include "tests/testing/temp_dir.h"
#include "tests/weights/checkpoint_goldens.h"
#include "weights/clip_vocabulary.h"
#include "weights/encoder_folder.h"

namespace promptd::weights {
namespace {

EncoderConfig Config() {
  EncoderConfig config;
  config.quick_gelu = true;
  config.vision.vit_layers = 12;
  config.vision.width = 768;
  config.vision.patch_size = 32;
  config.preprocess = {{0.48145466f, 0.1f, 1e-7f}, {0.26862954f, 1, 999}};
  return config;
}

const RawTensors& FolderTensors() {
  static const auto* const tensors = new RawTensors{
      {"b", MakeRawTensor(DType::kF16, {3}, std::string(6, 'h'))},
      {"c", MakeRawTensor(DType::kF32, {1}, std::string(4, 'f'))},
      {"a", MakeRawTensor(DType::kBF16, {1, 1}, std::string(2, 'b'))},
      {"n", MakeRawTensor(DType::kI64, {}, std::string(8, 'i'))}};
  return *tensors;
}

size_t Files(const std::string& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(folder)) {
    ++count;
  }
  return count;
}

void ExpectSame(const EncoderConfig& a, const EncoderConfig& b) {
  EXPECT_EQ(WriteEncoderConfig(a), WriteEncoderConfig(b));
  EXPECT_EQ(a.preprocess.mean, b.preprocess.mean);
  EXPECT_EQ(a.preprocess.std, b.preprocess.std);
  EXPECT_EQ(a.vision.resnet_layers, b.vision.resnet_layers);
  EXPECT_EQ(a.vision.head_width, b.vision.head_width);
  EXPECT_EQ(a.text.heads, b.text.heads);
  EXPECT_EQ(a.demonstration, b.demonstration);
}

TEST(EncoderConfigWriterTest, ReadsBackToTheSame) {
  EncoderConfig resnet = Config();
  resnet.quick_gelu = false;
  resnet.demonstration = true;
  resnet.vision = {};
  resnet.vision.resnet_layers = {3, 4, 6, 3};
  resnet.text.heads = 4;
  EncoderConfig huge = Config();
  huge.vision.width = 1280;
  huge.vision.head_width = 80;
  for (const EncoderConfig& config : {Config(), resnet, huge}) {
    const auto read = ParseEncoderConfig(WriteEncoderConfig(config));
    ASSERT_TRUE(read.ok()) << read.status();
    ExpectSame(*read, config);
  }
  EXPECT_NE(WriteEncoderConfig(Config()).find(" 0.1,\n"), std::string::npos);
}

TEST(EncoderFolderWriterTest, WritesWhatTheFolderReads) {
  const ::promptd::testing::TempDir temporary;
  const std::string path = temporary.path() + "/vit-b-32";
  ASSERT_TRUE(
      WriteEncoderFolder(path, Config(), FolderTensors(), "m\na b\n").ok());
  const auto folder = EncoderFolder::Open(path);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->merges, "m\na b\n");
  EXPECT_EQ(folder->tensors.metadata().at("format"), "pt");
  ExpectSame(folder->config, Config());
  for (const auto& [name, tensor] : FolderTensors()) {
    const TensorRecord& record = folder->tensors.tensors().at(name);
    EXPECT_EQ(record.dtype, tensor.dtype);
    EXPECT_EQ(record.shape, tensor.shape);
    EXPECT_EQ(folder->tensors.Bytes(name).value(), tensor.bytes);
    EXPECT_EQ(record.begin_bytes % DTypeSize(record.dtype), 0) << name;
  }
  EXPECT_EQ(Files(temporary.path()), 1u);
  EXPECT_EQ(Files(path), 3u);
  const std::string again = temporary.path() + "/again";
  ASSERT_TRUE(
      WriteEncoderFolder(again, Config(), FolderTensors(), "m\na b\n").ok());
  EXPECT_EQ(EncoderFolder::Open(again)->digest.get(), folder->digest.get());
}

TEST(EncoderFolderWriterTest, RefusesAndLeavesNothing) {
  const ::promptd::testing::TempDir temporary;
  const auto reason = [&](const std::string& name, const RawTensors& tensors) {
    return ErrorReason(WriteEncoderFolder(temporary.path() + "/" + name,
                                          Config(), tensors, "m\na b\n"));
  };
  EXPECT_EQ(reason("Upper", FolderTensors()), "BAD_ENCODER_NAME");
  EXPECT_EQ(reason("", FolderTensors()), "BAD_ENCODER_NAME");
  EXPECT_EQ(reason("..", FolderTensors()), "BAD_ENCODER_NAME");
  EXPECT_EQ(reason("missing/e", FolderTensors()), "FILE_WRITE_FAILED");
  EXPECT_EQ(reason("e", {{"a b", FolderTensors().at("a")}}),
            "SAFETENSORS_BAD_NAME");
  RawTensor cut = FolderTensors().at("a");
  cut.shape = {2};
  EXPECT_EQ(reason("e", {{"a", cut}}), "SAFETENSORS_SIZE_MISMATCH");
  EXPECT_EQ(Files(temporary.path()), 0u);
  std::filesystem::create_directory(temporary.path() + "/e");
  EXPECT_EQ(reason("e", FolderTensors()), "ENCODER_EXISTS");
  ASSERT_TRUE(
      WriteFileAtomically(temporary.path() + "/file", "a user's file").ok());
  EXPECT_EQ(reason("file", FolderTensors()), "ENCODER_EXISTS");
  EXPECT_EQ(Files(temporary.path()), 2u);
}

// A file size limit stands for a full disk.
TEST(EncoderFolderWriterTest, AFullDiskLeavesNothing) {
  const ::promptd::testing::TempDir temporary;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  for (const rlim_t limit : {0u, 100u, 400u, 600u}) {
    const rlimit small = {limit, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const absl::Status status =
        WriteEncoderFolder(temporary.path() + "/e", Config(), FolderTensors(),
                           std::string(1000, 'm'));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(ErrorReason(status), "DISK_FULL") << limit << status;
    EXPECT_EQ(Files(temporary.path()), 0u);
  }
  std::signal(SIGXFSZ, handler);
}

TEST(ClipVocabularyTest, IsClips) {
  const std::string merges = ClipMerges();
  EXPECT_EQ(MergesVocabSize(merges), 49408);
  const std::vector<std::string> tokens = MergesVocabulary(merges);
  ASSERT_EQ(tokens.size(), 49408u);
  EXPECT_EQ(tokens[0], "!");
  EXPECT_EQ(tokens[255], "\u0143");
  EXPECT_EQ(tokens[256], "!</w>");
  EXPECT_EQ(tokens[320], "a</w>");
  EXPECT_EQ(tokens[512], "in");
  EXPECT_EQ(tokens[2368], "cat</w>");
  EXPECT_EQ(tokens[49405], "jekyll</w>");
  EXPECT_EQ(tokens[49407], "<|endoftext|>");
  EXPECT_TRUE(SameMerges("#version: 0.2\na b", "other\na b\n"));
  EXPECT_FALSE(SameMerges("#version: 0.2\na b", "other\na c\n"));
  EXPECT_EQ(MergesVocabSize(""), 514);
  EXPECT_EQ(MergesVocabSize("header\n"), 514);
}

}  // namespace
}  // namespace promptd::weights
