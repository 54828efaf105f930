#include "datasets/folder_reader.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/error.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"
#include "tests/testing/temp_dir.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using ::promptd::testing::TempDir;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A folder to be read, filled with golden images.
class FolderReaderTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& bytes) {
    const fs::path file = fs::path(Root()) / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << bytes;
  }
  // The n-th golden image.
  void WriteImage(const std::string& path, size_t n = 0) {
    Write(path, GoldenImages()[n].encoded);
  }
  std::string Root() const { return dir_.path() + "/root"; }

  absl::StatusOr<FolderDataset> Read(bool decode = true) {
    FolderOptions options;
    options.name = "pets";
    options.decode = decode;
    return ReadDatasetFolder(Root(), options);
  }
  std::string Reason() { return ErrorReason(Read().status()); }

  TempDir dir_;
};

auto Skipped(const std::string& path, const std::string& reason) {
  return AllOf(Field(&SkippedFile::path, path),
               Field(&SkippedFile::reason, reason));
}

TEST_F(FolderReaderTest, ReadsSplitsInByteOrder) {
  WriteImage("train/tabby_cat/b.png", 1);
  WriteImage("train/tabby_cat/B.png", 2);
  WriteImage("train/Dog/1.png", 3);
  WriteImage("validation/Dog/2.png", 4);
  WriteImage("test/zebra/3.png", 5);
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const Manifest& manifest = dataset->manifest;
  EXPECT_EQ(manifest.name, "pets");
  EXPECT_THAT(manifest.class_names, ElementsAre("Dog", "tabby cat", "zebra"));
  const auto item = [](const char* path, size_t golden, int label,
                       Split split) {
    return Item{path, Sha256Hex(GoldenImages()[golden].encoded), label, split};
  };
  EXPECT_THAT(manifest.items,
              ElementsAre(item("test/zebra/3.png", 5, 2, Split::kTest),
                          item("train/Dog/1.png", 3, 0, Split::kTrain),
                          item("train/tabby_cat/B.png", 2, 1, Split::kTrain),
                          item("train/tabby_cat/b.png", 1, 1, Split::kTrain),
                          item("validation/Dog/2.png", 4, 0, Split::kVal)));
  EXPECT_TRUE(dataset->report.has_splits);
  EXPECT_THAT(dataset->report.skipped, IsEmpty());
  for (const Item& read : manifest.items) {
    EXPECT_EQ(dataset->source_of_digest.at(read.digest).file,
              fs::canonical(Root()).string() + "/" + read.path);
  }
}

TEST_F(FolderReaderTest, WithoutSplitsEverythingIsTraining) {
  WriteImage("cat/1.png", 1);
  WriteImage("dog/1.png", 1);
  WriteImage("dog/2.png", 2);
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_FALSE(dataset->report.has_splits);
  EXPECT_EQ(dataset->report.repeated_images, 1);
  EXPECT_EQ(dataset->source_of_digest.size(), 2u);
  for (const Item& item : dataset->manifest.items) {
    EXPECT_EQ(item.split, Split::kTrain);
  }
}

TEST_F(FolderReaderTest, ListsWhatItCannotUseByNameAndReason) {
  WriteImage("cat/good.png", 8);
  WriteImage("dog/good.png", 9);
  Write("cat/empty.jpg", "");
  Write("cat/notes.txt", "these are cats");
  Write("cat/cut.png", GoldenImages()[8].encoded.substr(0, 900));
  std::string damaged = GoldenImages()[8].encoded;
  damaged[damaged.size() / 2] ^= 0x55;
  Write("cat/damaged.png", damaged);
  Write("cat/huge.png", std::string((10 << 20) + 1, 'x'));
  WriteImage("cat/deeper/1.png");
  WriteImage("stray.png");
  Write("cat/bad\xffname.png", "x");
  ASSERT_EQ(::mkfifo((Root() + "/dog/pipe").c_str(), 0600), 0);
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->manifest.items, SizeIs(2));
  EXPECT_THAT(dataset->report.skipped,
              ElementsAre(Skipped("cat/bad\xffname.png", "BAD_FILE_NAME"),
                          Skipped("cat/cut.png", "IMAGE_TRUNCATED"),
                          Skipped("cat/damaged.png", "IMAGE_UNDECODABLE"),
                          Skipped("cat/deeper", "NESTED_FOLDER"),
                          Skipped("cat/empty.jpg", "IMAGE_EMPTY"),
                          Skipped("cat/huge.png", "FILE_TOO_LARGE"),
                          Skipped("cat/notes.txt", "IMAGE_UNKNOWN_FORMAT"),
                          Skipped("dog/pipe", "NOT_A_REGULAR_FILE"),
                          Skipped("stray.png", "NOT_IN_A_CLASS")));
}

TEST_F(FolderReaderTest, WithoutDecodingDamageInsideIsNotSeen) {
  WriteImage("cat/good.png", 8);
  WriteImage("dog/good.png", 9);
  std::string damaged = GoldenImages()[8].encoded;
  damaged[damaged.size() / 2] ^= 0x55;
  Write("cat/damaged.png", damaged);
  const auto dataset = Read(/*decode=*/false);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->manifest.items, SizeIs(3));
}

TEST_F(FolderReaderTest, IgnoresHiddenFilesAndNotesSilently) {
  WriteImage("train/cat/1.png", 1);
  WriteImage("train/dog/1.png", 2);
  Write("README.md", "x");
  Write("train/labels.json", "x");
  Write("train/cat/.DS_Store", "x");
  Write("__MACOSX/train/x.png", "x");
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->report.ignored_files, 4);
  EXPECT_THAT(dataset->report.skipped, IsEmpty());
  EXPECT_THAT(dataset->manifest.class_names, ElementsAre("cat", "dog"));
}

TEST_F(FolderReaderTest, FollowsSymlinksOnlyInsideTheRoot) {
  WriteImage("train/cat/1.png", 1);
  WriteImage("train/dog/1.png", 2);
  std::ofstream(dir_.path() + "/secret.png", std::ios::binary)
      << GoldenImages()[3].encoded;
  fs::create_symlink(dir_.path() + "/secret.png",
                     Root() + "/train/dog/out.png");
  fs::create_symlink("../../../secret.png", Root() + "/train/dog/up.png");
  fs::create_symlink("../cat/1.png", Root() + "/train/dog/in.png");
  fs::create_symlink("nowhere", Root() + "/train/dog/broken.png");
  fs::create_directory_symlink("..", Root() + "/train/dog/loop");
  fs::create_directory_symlink(dir_.path(), Root() + "/train/other");
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->manifest.items, SizeIs(3));
  EXPECT_THAT(dataset->report.skipped,
              ElementsAre(Skipped("train/dog/broken.png", "BROKEN_SYMLINK"),
                          Skipped("train/dog/loop", "NESTED_FOLDER"),
                          Skipped("train/dog/out.png", "SYMLINK_OUTSIDE_ROOT"),
                          Skipped("train/dog/up.png", "SYMLINK_OUTSIDE_ROOT"),
                          Skipped("train/other", "SYMLINK_OUTSIDE_ROOT")));
}

TEST_F(FolderReaderTest, TheRootItselfMayBeASymlink) {
  WriteImage("cat/1.png", 1);
  WriteImage("dog/1.png", 2);
  const std::string link = dir_.path() + "/link";
  fs::create_directory_symlink(Root(), link);
  const auto dataset = ReadDatasetFolder(link, {.name = "pets"});
  EXPECT_TRUE(dataset.ok()) << dataset.status();
}

TEST_F(FolderReaderTest, AFolderBesideTheSplitsIsNamed) {
  WriteImage("train/cat/1.png", 1);
  WriteImage("train/dog/1.png", 2);
  WriteImage("extra/dog/1.png", 2);
  const auto dataset = Read();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(dataset->report.skipped,
              ElementsAre(Skipped("extra", "NOT_A_SPLIT")));
}

TEST_F(FolderReaderTest, ReportsProgress) {
  WriteImage("cat/1.png", 1);
  Write("dog/1.png", "no image");
  std::vector<int64_t> seen;
  FolderOptions options;
  options.name = "pets";
  options.progress = [&seen](int64_t read, int64_t total) {
    EXPECT_EQ(total, 2);
    seen.push_back(read);
  };
  ASSERT_TRUE(ReadDatasetFolder(Root(), options).ok());
  EXPECT_THAT(seen, ElementsAre(1, 2));
}

TEST_F(FolderReaderTest, ErrorsSayWhatToDo) {
  EXPECT_EQ(Reason(), "FOLDER_NOT_FOUND");
  fs::create_directories(Root());
  EXPECT_EQ(Reason(), "NO_CLASSES");
  EXPECT_THAT(std::string(Read().status().message()),
              HasSubstr("ROOT/train/<class>/<image>"));
  WriteImage("cat/1.png", 1);
  EXPECT_EQ(Reason(), "ONE_CLASS");
  EXPECT_EQ(ErrorReason(ReadDatasetFolder(Root() + "/cat/1.png", {}).status()),
            "NOT_A_FOLDER");
}

TEST_F(FolderReaderTest, ImagesRightInASplitFolderAreNoClasses) {
  WriteImage("train/1.png", 1);
  WriteImage("test/2.png", 2);
  EXPECT_EQ(Reason(), "NO_CLASSES");
}

TEST_F(FolderReaderTest, NoUsableImageIsAnErrorThatNamesTheFirst) {
  Write("cat/1.png", "");
  Write("dog/1.png", "x");
  EXPECT_EQ(Reason(), "NO_IMAGES");
  EXPECT_THAT(std::string(Read().status().message()),
              AllOf(HasSubstr("2 files"), HasSubstr("cat/1.png")));
}

TEST_F(FolderReaderTest, TwoFoldersForOneSplitAreAnError) {
  WriteImage("val/cat/1.png", 1);
  WriteImage("valid/dog/1.png", 2);
  EXPECT_EQ(Reason(), "DUPLICATE_SPLIT");
}

TEST_F(FolderReaderTest, FoldersThatNameTheSameClassAreAnError) {
  WriteImage("hot_dog/1.png", 1);
  WriteImage("Hot dog/1.png", 2);
  EXPECT_EQ(Reason(), "INVALID_MANIFEST");
}

}  // namespace
}  // namespace promptd::datasets
