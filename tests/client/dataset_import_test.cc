#include "client/dataset_import.h"

#include <filesystem>

#include "common/file.h"
#include "common/sha256.h"
#include "datasets/coop_layout.h"
#include "gmock/gmock.h"
#include "promptd/v1/dataset.pb.h"
#include "tests/client/cli_fixture.h"
#include "tests/testing/coop_trees.h"
#include "tests/testing/tar_writer.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;
using promptd::testing::PngBytes;
using promptd::testing::TarEnd;
using promptd::testing::TarFile;
using promptd::testing::WriteCoopTree;
using promptd::testing::WriteOwnLists;
using promptd::testing::WritePng;
using promptd::testing::WriteText;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class DatasetImportTest : public CliFixture {
 protected:
  int Import(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"dataset", "import"});
    return Cli(std::move(arguments));
  }
  int Coop(const std::string& name) {
    return Import({"--layout", "coop", "--name", name, Path("data")});
  }
  // What a refusal must not leave behind.
  void ExpectNothingImported() {
    EXPECT_THAT(state().datasets, IsEmpty());
    EXPECT_THAT(state().items, IsEmpty());
  }
};

TEST_F(DatasetImportTest, AllFifteenLayouts) {
  for (const datasets::CoopLayout& layout : datasets::CoopLayouts()) {
    SCOPED_TRACE(layout.name);
    WriteCoopTree(Path("data"), layout.name);
    ASSERT_EQ(Import({"--layout", "coop", "--name", layout.name, Path("data"),
                      "--as", "imported"}),
              0)
        << err_;
    const std::vector<v1::DatasetItem>& items = state().items["imported"];
    ASSERT_FALSE(items.empty());
    for (const v1::DatasetItem& item : items) {
      const auto bytes =
          ReadFile(Path(absl::StrCat("data/", layout.folder, "/", item.path())),
                   1 << 20);
      ASSERT_TRUE(bytes.ok()) << bytes.status();
      EXPECT_EQ(state().images[item.digest()], *bytes);
    }
    if (layout.test_only()) {
      EXPECT_THAT(err_, HasSubstr("promptctl eval TASK imported"));
    } else {
      EXPECT_THAT(
          err_, HasSubstr(absl::StrCat("promptctl train imported --template \"",
                                       layout.template_text, "\" --wait")));
    }
  }
}

TEST_F(DatasetImportTest, TheNameIsFoldedAndJsonHasTheTemplate) {
  WriteCoopTree(Path("data"), "OxfordPets");
  ASSERT_EQ(Import({"--layout", "coop", "--name", "oxfordpets", Path("data"),
                    "-o", "json"}),
            0)
      << err_;
  EXPECT_EQ(Json()["name"], "oxfordpets");
  EXPECT_EQ(Json()["uploaded_images"], 12);
  EXPECT_EQ(Json()["template"], "a photo of a {}, a type of pet.");
  EXPECT_THAT(Json()["skipped"], IsEmpty());
  EXPECT_EQ(state().datasets["oxfordpets"].class_names(1), "american bulldog");
  // Only what is missing is sent.
  ASSERT_EQ(Import({"--layout", "coop", "--name", "OxfordPets", Path("data"),
                    "-o", "json"}),
            0);
  EXPECT_EQ(Json()["uploaded_images"], 0);
}

TEST_F(DatasetImportTest, OwnListsAreUsedWithANote) {
  WriteCoopTree(Path("data"), "OxfordPets");
  WriteOwnLists(Path("data"), "OxfordPets");
  ASSERT_EQ(Coop("OxfordPets"), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("not those of CoOp's tables"));
}

TEST_F(DatasetImportTest, AMalformedListIsRefusedWithEveryPlace) {
  WriteCoopTree(Path("data"), "OxfordPets");
  WriteText(Path("data/oxford_pets/split_zhou_OxfordPets.json"),
            R"({"train": [["a.jpg", -1, "cat"], ["b.jpg", 0]], "val": []})");
  EXPECT_EQ(Coop("OxfordPets"), 1);
  EXPECT_THAT(
      err_,
      AllOf(HasSubstr("cannot import"),
            HasSubstr("split_zhou_OxfordPets.json: train[0][1]: "
                      "label -1 is out of range"),
            HasSubstr("train[1]: is not [image, label, class name]"),
            HasSubstr("test: is missing"), HasSubstr("INVALID_IMAGE_LIST")));
  ExpectNothingImported();
}

TEST_F(DatasetImportTest, MissingAndUnreadableImagesStopIt) {
  WriteCoopTree(Path("data"), "EuroSAT");
  const std::string image = Path("data/eurosat/2750/Forest/Forest_2.jpg");
  fs::remove(image);
  EXPECT_EQ(Coop("EuroSAT"), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("2750/Forest/Forest_2.jpg is not there"),
                          HasSubstr("LISTED_IMAGES_MISSING")));
  WriteText(image, "no image");
  EXPECT_EQ(Coop("EuroSAT"), 1);
  EXPECT_THAT(err_, HasSubstr("LISTED_IMAGES_UNREADABLE"));
  ExpectNothingImported();
  EXPECT_EQ(Import({"--layout", "coop", "--name", "EuroSAT", Path("data"),
                    "--skip-unreadable"}),
            0)
      << err_;
  EXPECT_THAT(err_, HasSubstr("1 files skipped"));
  EXPECT_EQ(state().items["eurosat"].size(), 11u);
}

TEST_F(DatasetImportTest, WhatTheServerRefusesIsNotLeftOutInSilence) {
  WriteCoopTree(Path("data"), "EuroSAT");
  const auto bytes =
      ReadFile(Path("data/eurosat/2750/Forest/Forest_2.jpg"), 1 << 20);
  state().refuse.insert(Sha256Hex(*bytes));
  EXPECT_EQ(Coop("EuroSAT"), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("2750/Forest/Forest_2.jpg"),
                          HasSubstr("IMAGES_REFUSED")));
  ExpectNothingImported();
}

TEST_F(DatasetImportTest, MissingFilesExitWithNotFound) {
  EXPECT_EQ(Coop("OxfordPets"), 3);
  EXPECT_THAT(err_, HasSubstr("LIST_NOT_FOUND"));
  fs::create_directories(Path("data/stanford_cars"));
  EXPECT_EQ(Coop("StanfordCars"), 3);
  EXPECT_THAT(err_, HasSubstr("stanford_cars/split_zhou_StanfordCars.json"));
}

TEST_F(DatasetImportTest, OptionsThatDoNotGoTogether) {
  EXPECT_EQ(Coop("OxfordPet"), 2);
  EXPECT_THAT(err_, HasSubstr("choose OxfordPets"));
  EXPECT_EQ(Coop("imagenet-v3"), 2);
  EXPECT_THAT(err_, HasSubstr("choose ImageNetV2"));
  EXPECT_EQ(Import({"--layout", "coop", Path("data")}), 2);
  EXPECT_THAT(err_, HasSubstr("DescribableTextures"));
  EXPECT_EQ(Import({"--layout", "zip", Path("data")}), 2);
  EXPECT_EQ(Import({"--layout", "csv", "--name", "pets", Path("x.csv")}), 2);
  EXPECT_THAT(err_, HasSubstr("--as"));
  EXPECT_EQ(Import({"--layout", "coop", "--name", "UCF101", Path("data"),
                    "--classes", "x"}),
            2);
  EXPECT_EQ(Import({"--layout", "csv", Path("x.csv"), "--as", "No Name"}), 2);
  EXPECT_EQ(Import({Path("data")}), 2);
}

TEST_F(DatasetImportTest, CsvWithClassNames) {
  WritePng(Path("Birds/a.png"), 1);
  WritePng(Path("Birds/b.png"), 2);
  WriteText(Path("Birds/All Birds.csv"), "file_name,label\na.png,1\nb.png,0\n");
  WriteText(Path("names.txt"), "blackbird\nrobin\n");
  EXPECT_EQ(Import({"--layout", "csv", Path("Birds/All Birds.csv")}), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("All Birds.csv: line 2: label"),
                          HasSubstr("--classes")));
  ExpectNothingImported();
  ASSERT_EQ(Import({"--layout", "csv", Path("Birds/All Birds.csv"), "--classes",
                    Path("names.txt")}),
            0)
      << err_;
  EXPECT_EQ(state().datasets["all-birds"].class_names(0), "blackbird");
  EXPECT_THAT(err_, AllOf(HasSubstr("promptctl train all-birds --wait"),
                          Not(HasSubstr("--template"))));
}

TEST_F(DatasetImportTest, JsonlWarnsOfWhatCannotBeTrained) {
  WritePng(Path("a.png"), 1);
  WritePng(Path("b.png"), 1);
  WriteText(Path("metadata.jsonl"),
            "{\"file_name\": \"a.png\", \"label\": \"cat\"}\n"
            "{\"file_name\": \"b.png\", \"label\": \"dog\", "
            "\"split\": \"test\"}\n");
  ASSERT_EQ(Import({"--layout", "jsonl", Path("metadata.jsonl")}), 0) << err_;
  EXPECT_THAT(err_, AllOf(HasSubstr("1 classes have no training image (dog)"),
                          HasSubstr("1 images have the same bytes")));
}

TEST_F(DatasetImportTest, TarShardsAreSentFromTheirPlaceInTheArchive) {
  WriteText(Path("shards/train-0.tar"), TarFile("0.png", PngBytes(1)) +
                                            TarFile("0.cls", "cat") +
                                            TarFile("1.png", PngBytes(2)) +
                                            TarFile("1.cls", "dog") + TarEnd());
  WriteText(Path("shards/test-0.tar"),
            TarFile("0.png", PngBytes(3)) + TarFile("0.cls", "cat") + TarEnd());
  ASSERT_EQ(Import({"--layout", "tar", Path("shards/")}), 0) << err_;
  const auto& items = state().items["shards"];
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].path(), "test-0/0.png");
  EXPECT_EQ(items[0].split(), v1::SPLIT_TEST);
  EXPECT_EQ(state().images[items[0].digest()], PngBytes(3));
  EXPECT_EQ(state().images[items[2].digest()], PngBytes(2));
  WriteText(Path("shards/test-0.tar"), "cut off");
  EXPECT_EQ(Import({"--layout", "tar", Path("shards"), "--as", "again"}), 1);
  EXPECT_THAT(err_, AllOf(HasSubstr("test-0.tar"), HasSubstr("BAD_TAR")));
  EXPECT_EQ(state().datasets.count("again"), 0u);
}

}  // namespace
}  // namespace promptd::client
