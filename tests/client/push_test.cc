#include "client/push.h"

#include <filesystem>

#include "common/file.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "opencv2/imgcodecs.hpp"
#include "promptd/v1/dataset.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;

class PushTest : public CliFixture {
 protected:
  // A small PNG of one grey; the same grey gives the same bytes.
  void WriteImage(const std::string& name, int grey) {
    const std::string path = Path(name);
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path());
    ASSERT_TRUE(cv::imwrite(
        path, cv::Mat(8, 8, CV_8UC3, cv::Scalar(grey, grey, grey))));
  }
  void WritePets() {
    WriteImage("My Pets/train/cat/1.png", 10);
    WriteImage("My Pets/train/cat/2.png", 20);
    WriteImage("My Pets/train/dog/1.png", 30);
    WriteImage("My Pets/test/dog/2.png", 40);
  }
};

TEST_F(PushTest, PushesAFolderUnderItsFoldedName) {
  WritePets();
  ASSERT_EQ(Cli({"dataset", "push", Path("My Pets") + "/"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("my-pets"));
  EXPECT_THAT(err_, HasSubstr("4 images sent"));
  EXPECT_EQ(state().images.size(), 4u);
  const auto& items = state().items["my-pets"];
  ASSERT_EQ(items.size(), 4u);
  for (const v1::DatasetItem& item : items) {
    const auto bytes = ReadFile(Path("My Pets/") + item.path(), 1 << 20);
    ASSERT_TRUE(bytes.ok());
    EXPECT_EQ(Sha256Hex(*bytes), item.digest());
    EXPECT_EQ(state().images[item.digest()], *bytes);
  }
  EXPECT_EQ(state().datasets["my-pets"].class_names_size(), 2);
}

TEST_F(PushTest, ASecondPushSendsNothing) {
  WritePets();
  ASSERT_EQ(Cli({"dataset", "push", Path("My Pets"), "--name", "pets"}), 0);
  ASSERT_EQ(
      Cli({"dataset", "push", Path("My Pets"), "--name", "pets", "-o", "json"}),
      0);
  EXPECT_EQ(Json()["uploaded_images"], 0);
  EXPECT_EQ(Json()["name"], "pets");
  EXPECT_EQ(Json()["digest"], "feedfacefeedface");
}

TEST_F(PushTest, UnreadableFilesAreListedAndLeftOut) {
  WritePets();
  ASSERT_TRUE(
      WriteFileAtomically(Path("My Pets/train/cat/bad.png"), "not an image")
          .ok());
  ASSERT_EQ(Cli({"dataset", "push", Path("My Pets")}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("warning: 1 files skipped"));
  EXPECT_THAT(err_, HasSubstr("train/cat/bad.png"));
  EXPECT_EQ(state().items["my-pets"].size(), 4u);
}

TEST_F(PushTest, ImagesTheServerRefusesAreLeftOut) {
  WritePets();
  const auto bytes = ReadFile(Path("My Pets/train/cat/2.png"), 1 << 20);
  state().refuse.insert(Sha256Hex(*bytes));
  ASSERT_EQ(Cli({"dataset", "push", Path("My Pets"), "-o", "json"}), 0) << err_;
  EXPECT_EQ(Json()["rejected"][0]["path"], "train/cat/2.png");
  EXPECT_EQ(Json()["rejected"][0]["reason"], "IMAGE_TRUNCATED");
  EXPECT_EQ(state().items["my-pets"].size(), 3u);
}

TEST_F(PushTest, LargeImagesTravelInChunks) {
  WritePets();
  cv::Mat noise(1200, 1200, CV_8UC3);
  cv::randu(noise, 0, 256);
  ASSERT_TRUE(cv::imwrite(Path("My Pets/train/dog/big.png"), noise));
  ASSERT_GT(std::filesystem::file_size(Path("My Pets/train/dog/big.png")),
            size_t{3} << 20);
  ASSERT_EQ(Cli({"dataset", "push", Path("My Pets")}), 0) << err_;
  EXPECT_EQ(state().images.size(), 5u);
}

TEST_F(PushTest, AFolderWithoutAUsableNameAsksForOne) {
  WritePets();
  std::filesystem::rename(Path("My Pets"), Path("\u4f60"));
  EXPECT_EQ(Cli({"dataset", "push", Path("\u4f60")}), 2);
  EXPECT_THAT(err_, HasSubstr("--name"));
}

TEST_F(PushTest, TrainPushesAFolderFirst) {
  WritePets();
  ASSERT_EQ(Cli({"train", Path("My Pets"), "--shots", "1"}), 0) << err_;
  EXPECT_EQ(state().datasets.count("my-pets"), 1u);
  ASSERT_EQ(state().created.size(), 1u);
  EXPECT_EQ(state().created[0].spec().dataset(), "my-pets");
  EXPECT_EQ(state().created[0].spec().task(), "my-pets");
  // The user's own images on the demonstration encoder: said once.
  EXPECT_THAT(err_, HasSubstr("small demonstration encoder"));
  EXPECT_THAT(err_, HasSubstr("promptd --encoder DIR"));
}

}  // namespace
}  // namespace promptd::client
