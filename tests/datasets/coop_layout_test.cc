#include "datasets/coop_layout.h"

#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "datasets/list_reader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/coop_trees.h"
#include "tests/testing/temp_dir.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TempDir;
using testing::WriteCoopTree;
using testing::WriteOwnLists;
using testing::WritePng;
using testing::WriteText;

class CoopLayoutTest : public ::testing::Test {
 protected:
  std::string Root() const { return dir_.path() + "/data"; }
  std::string At(const std::string& path) const { return Root() + "/" + path; }

  absl::StatusOr<FolderDataset> Import(const std::string& name,
                                       bool skip_unreadable = false) {
    const CoopLayout* layout = FindCoopLayout(name);
    if (layout == nullptr) return absl::NotFoundError(name);
    auto list = ReadCoopDataset(Root(), *layout);
    if (!list.ok()) return list.status();
    notes_ = list->notes;
    ListOptions options;
    options.name = "imported";
    options.skip_unreadable = skip_unreadable;
    return ReadListedImages(*list, options);
  }
  // The whole message, with every violation.
  std::string Problem(const std::string& name) {
    const absl::Status status = Import(name).status();
    EXPECT_FALSE(status.ok());
    return absl::StrCat(ErrorReason(status), ": ", status.message());
  }
  // The OxfordPets tree with one edit of its split file.
  std::string ProblemAfter(const std::string& from, const std::string& to) {
    fs::remove_all(Root());
    WriteCoopTree(Root(), "OxfordPets");
    const std::string path = At("oxford_pets/split_zhou_OxfordPets.json");
    const auto text = ReadFile(path, 1 << 20);
    EXPECT_THAT(*text, HasSubstr(from));
    WriteText(path, absl::StrReplaceAll(*text, {{from, to}}));
    return Problem("OxfordPets");
  }

  TempDir dir_;
  std::vector<std::string> notes_;
};

std::map<Split, int> Counts(const Manifest& manifest) {
  std::map<Split, int> counts;
  for (const Item& item : manifest.items) ++counts[item.split];
  return counts;
}

TEST_F(CoopLayoutTest, ThereAreFifteenWithOneTemplateEach) {
  EXPECT_THAT(CoopLayouts(), SizeIs(15));
  for (const CoopLayout& layout : CoopLayouts()) {
    const std::string text = layout.template_text;
    EXPECT_NE(text.find("{}"), std::string::npos) << layout.name;
    EXPECT_EQ(text.find("{}"), text.rfind("{}")) << layout.name;
    EXPECT_EQ(FindCoopLayout(layout.name), &layout);
  }
  EXPECT_STREQ(FindCoopLayout("imagenet_a")->name, "ImageNet-A");
  EXPECT_EQ(FindCoopLayout("Pets"), nullptr);
}

TEST_F(CoopLayoutTest, AllFifteenAreRead) {
  const std::map<std::string, std::vector<std::string>> names = {
      {"Caltech101", {"face", "leopard", "airplane"}},
      {"OxfordPets", {"abyssinian", "american bulldog", "bengal"}},
      {"StanfordCars",
       {"2000 AM General Hummer SUV", "2012 Acura RL Sedan",
        "2012 Acura TL Sedan"}},
      {"OxfordFlowers",
       {"pink primrose", "hard-leaved pocket orchid", "canterbury bells"}},
      {"Food101", {"apple pie", "baby back ribs", "baklava"}},
      {"FGVCAircraft", {"707-320", "F-16A/B", "Boeing 717"}},
      {"SUN397", {"abbey", "indoor church", "outdoor church"}},
      {"DescribableTextures", {"banded", "blotchy", "cobwebbed"}},
      {"EuroSAT", {"Annual Crop Land", "Forest", "Highway or Road"}},
      {"UCF101", {"Apply Eye Makeup", "Apply Lipstick", "Yo Yo"}},
      {"ImageNet", {"tench", "goldfish", "projectile"}},
      {"ImageNetV2",
       {"tench", "goldfish", "great white shark", "missile", "projectile"}},
      {"ImageNet-Sketch", {"tench", "goldfish", "projectile"}},
      {"ImageNet-A", {"tench", "goldfish", "projectile"}},
      {"ImageNet-R", {"tench", "goldfish", "projectile"}},
  };
  ASSERT_EQ(names.size(), CoopLayouts().size());
  for (const auto& [name, class_names] : names) {
    SCOPED_TRACE(name);
    WriteCoopTree(Root(), name);
    const auto dataset = Import(name);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    const Manifest& manifest = dataset->manifest;
    EXPECT_EQ(manifest.class_names, class_names);
    const int classes = static_cast<int>(class_names.size());
    std::map<Split, int> expected = {{Split::kTrain, 2 * classes},
                                     {Split::kVal, classes},
                                     {Split::kTest, classes}};
    if (name == "ImageNet") expected.erase(Split::kVal);
    if (FindCoopLayout(name)->test_only()) {
      expected = {{Split::kTest, classes}};
    }
    EXPECT_EQ(Counts(manifest), expected);
    const std::string folder = FindCoopLayout(name)->folder;
    for (const Item& item : manifest.items) {
      const auto bytes = ReadFile(At(folder + "/" + item.path), 1 << 20);
      ASSERT_TRUE(bytes.ok()) << bytes.status();
      EXPECT_EQ(Sha256Hex(*bytes), item.digest);
    }
  }
}

TEST_F(CoopLayoutTest, KeepsTheSplitFilesOrderForTheSampler) {
  WriteText(At("oxford_pets/split_zhou_OxfordPets.json"),
            R"({"train": [["b.jpg", 1, "dog"], ["a.jpg", 0, "cat"]],
                "val": [], "test": [["c.jpg", 0, "cat"]]})");
  for (const char* name : {"a", "b", "c"}) {
    WritePng(At(absl::StrCat("oxford_pets/images/", name, ".jpg")), name[0]);
  }
  const auto dataset = Import("OxfordPets");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  ASSERT_THAT(dataset->manifest.items, SizeIs(3));
  EXPECT_EQ(dataset->manifest.items[0].path, "images/b.jpg");
  EXPECT_EQ(dataset->manifest.items[0].class_index, 1);
  EXPECT_THAT(dataset->manifest.class_names, ElementsAre("cat", "dog"));
}

TEST_F(CoopLayoutTest, TheDatasetsOwnFolderIsARootToo) {
  WriteCoopTree(Root(), "OxfordPets");
  const CoopLayout& layout = *FindCoopLayout("OxfordPets");
  const auto own = ReadCoopDataset(At("oxford_pets"), layout);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_THAT(own->images, SizeIs(12));
  // Renamed: the split file tells it.
  fs::rename(At("oxford_pets"), At("pets"));
  EXPECT_TRUE(ReadCoopDataset(At("pets"), layout).ok());
  // Elsewhere, behind a symlink as CoOp suggests, the images behind another.
  fs::rename(At("pets/images"), dir_.path() + "/photos");
  fs::create_directory_symlink(dir_.path() + "/photos", At("pets/images"));
  fs::rename(At("pets"), dir_.path() + "/elsewhere");
  fs::create_directory_symlink(dir_.path() + "/elsewhere", At("oxford_pets"));
  EXPECT_TRUE(Import("OxfordPets").ok());
}

TEST_F(CoopLayoutTest, OwnListsGiveTheSameClasses) {
  for (const char* name :
       {"OxfordPets", "Food101", "SUN397", "DescribableTextures", "UCF101"}) {
    SCOPED_TRACE(name);
    WriteCoopTree(Root(), name);
    const auto split = Import(name);
    ASSERT_TRUE(split.ok()) << split.status();
    EXPECT_THAT(notes_, IsEmpty());
    WriteOwnLists(Root(), name);
    const auto own = Import(name);
    ASSERT_TRUE(own.ok()) << own.status();
    EXPECT_THAT(notes_, ElementsAre(HasSubstr("not those of CoOp's tables")));
    EXPECT_EQ(own->manifest.class_names, split->manifest.class_names);
    std::map<std::string, int> labels;
    for (const Item& item : split->manifest.items) {
      labels[item.path] = item.class_index;
    }
    for (const Item& item : own->manifest.items) {
      ASSERT_EQ(labels.count(item.path), 1u) << item.path;
      EXPECT_EQ(item.class_index, labels[item.path]) << item.path;
    }
    EXPECT_EQ(own->manifest.items.size(), split->manifest.items.size());
  }
}

TEST_F(CoopLayoutTest, AMissingFileIsNamedWithItsPlace) {
  EXPECT_THAT(Problem("OxfordPets"),
              AllOf(HasSubstr("LIST_NOT_FOUND"), HasSubstr(Root())));
  fs::create_directories(Root());
  EXPECT_THAT(Problem("OxfordPets"), HasSubstr("oxford_pets"));
  fs::create_directories(At("oxford_pets"));
  EXPECT_THAT(Problem("OxfordPets"), HasSubstr("oxford_pets/images"));
  fs::create_directories(At("oxford_pets/images"));
  EXPECT_THAT(Problem("OxfordPets"),
              AllOf(HasSubstr("oxford_pets/split_zhou_OxfordPets.json"),
                    HasSubstr("annotations/trainval.txt")));
  fs::create_directories(At("eurosat/2750/Forest"));
  EXPECT_THAT(Problem("EuroSAT"), HasSubstr("eurosat/split_zhou_EuroSAT.json"));
  fs::create_directories(At("imagenet-adversarial/imagenet-a"));
  EXPECT_THAT(Problem("ImageNet-A"),
              HasSubstr("imagenet-adversarial/classnames.txt"));
  WriteCoopTree(Root(), "FGVCAircraft");
  fs::remove(At("fgvc_aircraft/images_variant_val.txt"));
  EXPECT_THAT(Problem("FGVCAircraft"), HasSubstr("images_variant_val.txt"));
}

TEST_F(CoopLayoutTest, AMalformedSplitFileIsRefusedWithItsPlaces) {
  EXPECT_THAT(ProblemAfter("\"val\"", "\"vel\""), HasSubstr("val: is missing"));
  EXPECT_THAT(ProblemAfter("\"val\"", "\"train\""), HasSubstr("train is there "
                                                              "twice"));
  EXPECT_THAT(ProblemAfter(", \"val\"", ",\n \"val\" \"val\""),
              HasSubstr("split_zhou_OxfordPets.json: line 2, column 12"));
  EXPECT_THAT(ProblemAfter("\"Abyssinian_0.jpg\", 0", "0"),
              HasSubstr("train[0]: is not [image, label, class name]"));
  EXPECT_THAT(ProblemAfter("\"Abyssinian_1.jpg\", 0", "7, 0"),
              HasSubstr("train[1][0]: the image's path is not text"));
  EXPECT_THAT(ProblemAfter("\"Abyssinian_1.jpg\", 0", "\"a\", 0.5"),
              HasSubstr("train[1][1]: the label is not a whole number"));
  EXPECT_THAT(ProblemAfter("0, \"abyssinian\"", "0, null"),
              HasSubstr("train[0][2]: the class name is not text"));
  EXPECT_THAT(ProblemAfter("\"Abyssinian_1.jpg\", 0", "\"a.jpg\", -1"),
              HasSubstr("train[1][1]: label -1 is out of range"));
  EXPECT_THAT(ProblemAfter("\"Abyssinian_1.jpg\", 0", "\"a.jpg\", 4096"),
              HasSubstr("train[1][1]: label 4096 is out of range"));
  EXPECT_THAT(ProblemAfter("Abyssinian_3.jpg\", 0, \"abyssinian",
                           "Abyssinian_3.jpg\", 0, \"siamese"),
              AllOf(HasSubstr("test[0][2]: label 0 is \"siamese\" here and "
                              "\"abyssinian\" at"),
                    HasSubstr("train[0][2]")));
  EXPECT_THAT(ProblemAfter("Bengal_3.jpg\", 2", "Bengal_3.jpg\", 3"),
              HasSubstr("test[2][1]: \"bengal\" has label 3 here and 2 at"));
  EXPECT_THAT(ProblemAfter(", 2, ", ", 3, "),
              HasSubstr("label 2 is not used, 3 is"));
}

TEST_F(CoopLayoutTest, NotASplitFileAtAll) {
  WriteCoopTree(Root(), "OxfordPets");
  const std::string path = At("oxford_pets/split_zhou_OxfordPets.json");
  for (const char* text : {"", "<html>", "[]", "7", "{}", "\xff\xfe{"}) {
    WriteText(path, text);
    EXPECT_THAT(Problem("OxfordPets"), HasSubstr("INVALID_IMAGE_LIST"));
  }
  WriteText(path, R"({"train": [], "val": [], "test": []})");
  EXPECT_THAT(Problem("OxfordPets"), HasSubstr("names no image"));
  WriteText(path, R"({"train": [["a.jpg", 0, "cat"]], "val": [], "test": []})");
  EXPECT_THAT(Problem("OxfordPets"), HasSubstr("a classifier needs two"));
}

TEST_F(CoopLayoutTest, ImagesBelongToOneSplitAndStayInside) {
  EXPECT_THAT(ProblemAfter("Abyssinian_3.jpg", "Abyssinian_0.jpg"),
              AllOf(HasSubstr("is in the splits train"), HasSubstr("and test"),
                    HasSubstr("test[0][0]")));
  EXPECT_THAT(ProblemAfter("Abyssinian_1.jpg", "Abyssinian_0.jpg"),
              HasSubstr("is listed twice"));
  EXPECT_THAT(ProblemAfter("Abyssinian_1.jpg", "../../secret.jpg"),
              HasSubstr("train[1][0]: \"images/../../secret.jpg\" has"));
  EXPECT_THAT(ProblemAfter("Abyssinian_1.jpg", "/etc/passwd"),
              HasSubstr("\"/etc/passwd\" is absolute"));
  WriteCoopTree(Root(), "EuroSAT");
  WritePng(dir_.path() + "/secret.png", 5);
  fs::remove(At("eurosat/2750/Forest/Forest_1.jpg"));
  fs::create_symlink(dir_.path() + "/secret.png",
                     At("eurosat/2750/Forest/Forest_1.jpg"));
  EXPECT_THAT(Problem("EuroSAT"), HasSubstr("is a symlink that leaves"));
}

TEST_F(CoopLayoutTest, MissingImagesAreListedAndCounted) {
  WriteCoopTree(Root(), "OxfordPets");
  fs::remove(At("oxford_pets/images/Bengal_2.jpg"));
  EXPECT_THAT(Problem("OxfordPets"),
              AllOf(HasSubstr("LISTED_IMAGES_MISSING"),
                    HasSubstr("split_zhou_OxfordPets.json: val[2][0]: "
                              "images/Bengal_2.jpg is not there")));
  fs::remove_all(At("oxford_pets/images"));
  fs::create_directories(At("oxford_pets/images"));
  EXPECT_THAT(Problem("OxfordPets"), HasSubstr("12 in all"));
}

TEST_F(CoopLayoutTest, UnreadableImagesAreRefusedOrLeftOut) {
  WriteCoopTree(Root(), "OxfordPets");
  WriteText(At("oxford_pets/images/Bengal_1.jpg"), "GIF89a");
  EXPECT_THAT(Problem("OxfordPets"),
              AllOf(HasSubstr("LISTED_IMAGES_UNREADABLE"),
                    HasSubstr("train[5][0]: images/Bengal_1.jpg")));
  auto rest = Import("OxfordPets", /*skip_unreadable=*/true);
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_THAT(rest->manifest.items, SizeIs(11));
  EXPECT_THAT(rest->report.skipped, SizeIs(1));
  for (int i = 0; i < 4; ++i) {
    WriteText(At(absl::StrCat("oxford_pets/images/Bengal_", i, ".jpg")), "no");
  }
  rest = Import("OxfordPets", /*skip_unreadable=*/true);
  EXPECT_THAT(std::string(rest.status().message()),
              HasSubstr("\"bengal\" has no image that can be read"));
}

TEST_F(CoopLayoutTest, EqualImagesInTwoSplitsAreCounted) {
  WriteCoopTree(Root(), "OxfordPets");
  fs::copy_file(At("oxford_pets/images/Bengal_0.jpg"),
                At("oxford_pets/images/Bengal_3.jpg"),
                fs::copy_options::overwrite_existing);
  const auto dataset = Import("OxfordPets");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->report.images_in_two_splits, 1);
  EXPECT_EQ(dataset->report.repeated_images, 1);
}

TEST_F(CoopLayoutTest, BadTextListsAreRefusedByLine) {
  WriteCoopTree(Root(), "FGVCAircraft");
  const std::string folder = At("fgvc_aircraft/");
  WriteText(folder + "images_variant_val.txt", "1025702 707-320\nnothing\n");
  EXPECT_THAT(Problem("FGVCAircraft"),
              HasSubstr("images_variant_val.txt: line 2: \"nothing\" is not "
                        "like \"1025794 707-320\""));
  WriteText(folder + "images_variant_val.txt", "1025702 Concorde\n");
  EXPECT_THAT(Problem("FGVCAircraft"),
              HasSubstr("line 1: class \"Concorde\" is not in variants.txt"));
  WriteText(folder + "images_variant_val.txt", "1025702 707-320\n");
  WriteText(folder + "variants.txt", "707-320\nF-16A/B\nBoeing 717\nDC-3\n");
  EXPECT_THAT(Problem("FGVCAircraft"),
              HasSubstr("\"DC-3\" has no image in any split"));
  WriteText(folder + "variants.txt", "707-320\nF-16A/B\nBoeing 717\n707-320\n");
  EXPECT_THAT(Problem("FGVCAircraft"), HasSubstr("variants.txt: line 4"));

  WriteCoopTree(Root(), "OxfordPets");
  WriteOwnLists(Root(), "OxfordPets");
  WriteText(At("oxford_pets/annotations/test.txt"), "Bengal_3 0 1 1\n");
  EXPECT_THAT(Problem("OxfordPets"),
              HasSubstr("annotations/test.txt: line 1: label -1 is out of "
                        "range"));
  WriteText(At("oxford_pets/annotations/test.txt"), "Bengal_3 1 1 1\n");
  EXPECT_THAT(Problem("OxfordPets"), HasSubstr("label 0 is \"bengal\" here"));

  WriteCoopTree(Root(), "UCF101");
  WriteOwnLists(Root(), "UCF101");
  WriteText(At("ucf101/ucfTrainTestlist/classInd.txt"), "1 YoYo\n3 Other\n");
  EXPECT_THAT(Problem("UCF101"),
              HasSubstr("classInd.txt: line 2: does not begin with 2"));
}

TEST_F(CoopLayoutTest, ImageNetsFoldersAndNamesMustAgree) {
  WriteCoopTree(Root(), "ImageNet");
  ASSERT_TRUE(Import("ImageNet").ok());
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("n04008634")));
  WritePng(At("imagenet/images/val/n99999999/a.JPEG"), 1);
  EXPECT_THAT(Problem("ImageNet"),
              AllOf(HasSubstr("images/val/n99999999: classnames.txt does not "
                              "name it"),
                    HasSubstr("images/train/n99999999: is missing")));
  fs::remove_all(At("imagenet/images/val/n99999999"));
  fs::remove_all(At("imagenet/images/val/n01440764"));
  EXPECT_THAT(Problem("ImageNet"),
              HasSubstr("images/val/n01440764: is missing; images/train has"));
  fs::create_directories(At("imagenet/images/val/n01440764"));
  EXPECT_THAT(Problem("ImageNet"),
              HasSubstr("images/val/n01440764: has no image"));
  fs::remove_all(At("imagenet/images/val"));
  EXPECT_THAT(Problem("ImageNet"), HasSubstr("images/val: is not in"));
  WriteText(At("imagenet/classnames.txt"),
            "n01440764 tench\nn01443537\nn01440764 fish\n");
  EXPECT_THAT(Problem("ImageNet"),
              AllOf(HasSubstr("classnames.txt: line 2"),
                    HasSubstr("line 3: \"n01440764\" is there twice")));
  WriteText(At("imagenet/classnames.txt"),
            "n01440764 tench\nn01443537 Tench\nn04008634 missile\n");
  EXPECT_THAT(Problem("ImageNet"), HasSubstr("\"Tench\" has label 1"));
}

TEST_F(CoopLayoutTest, ImageNetV2sFoldersAreLabels) {
  const std::string images =
      "imagenetv2/imagenetv2-matched-frequency-format-val/";
  WriteCoopTree(Root(), "ImageNetV2");
  WritePng(At(images + "5/a.jpeg"), 1);
  EXPECT_THAT(Problem("ImageNetV2"), HasSubstr("/5: is no label: "
                                               "classnames.txt has 0 to 4"));
  fs::rename(At(images + "5"), At(images + "01"));
  EXPECT_THAT(Problem("ImageNetV2"), HasSubstr("/01: is no label"));
  fs::remove_all(At(images + "01"));
  fs::remove_all(At(images + "3"));
  EXPECT_THAT(Problem("ImageNetV2"),
              HasSubstr("classnames.txt: line 4: \"missile\" has no folder"));
}

}  // namespace
}  // namespace promptd::datasets
