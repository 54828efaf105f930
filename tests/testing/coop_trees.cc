#include "tests/testing/coop_trees.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "opencv2/imgcodecs.hpp"

namespace promptd::testing {
namespace {

namespace fs = std::filesystem;

// What a split file's tree needs to know.
struct SplitTree {
  std::string folder;
  std::string images;
  // Class name in the file, and where its images are below `images`.
  std::vector<std::pair<std::string, std::string>> classes;
};

const std::map<std::string, SplitTree>& SplitTrees() {
  static const auto* const trees = new std::map<std::string, SplitTree>{
      {"Caltech101",
       {"caltech-101",
        "101_ObjectCategories",
        {{"face", "Faces/image"},
         {"leopard", "Leopards/image"},
         {"airplane", "airplanes/image"}}}},
      {"OxfordPets",
       {"oxford_pets",
        "images",
        {{"abyssinian", "Abyssinian"},
         {"american_bulldog", "american_bulldog"},
         {"bengal", "Bengal"}}}},
      {"StanfordCars",
       {"stanford_cars",
        "",
        {{"2000 AM General Hummer SUV", "cars_train/00"},
         {"2012 Acura RL Sedan", "cars_train/01"},
         {"2012 Acura TL Sedan", "cars_test/02"}}}},
      {"OxfordFlowers",
       {"oxford_flowers",
        "jpg",
        {{"pink primrose", "image_00"},
         {"hard-leaved pocket orchid", "image_01"},
         {"canterbury bells", "image_02"}}}},
      {"Food101",
       {"food-101",
        "images",
        {{"apple_pie", "apple_pie/"},
         {"baby_back_ribs", "baby_back_ribs/"},
         {"baklava", "baklava/"}}}},
      {"SUN397",
       {"sun397",
        "SUN397",
        {{"abbey", "a/abbey/sun_"},
         {"indoor church", "c/church/indoor/sun_"},
         {"outdoor church", "c/church/outdoor/sun_"}}}},
      {"DescribableTextures",
       {"dtd",
        "images",
        {{"banded", "banded/banded_000"},
         {"blotchy", "blotchy/blotchy_000"},
         {"cobwebbed", "cobwebbed/cobwebbed_000"}}}},
      {"EuroSAT",
       {"eurosat",
        "2750",
        {{"Annual Crop Land", "AnnualCrop/AnnualCrop_"},
         {"Forest", "Forest/Forest_"},
         {"Highway or Road", "Highway/Highway_"}}}},
      {"UCF101",
       {"ucf101",
        "UCF-101-midframes",
        {{"Apply_Eye_Makeup", "Apply_Eye_Makeup/v_ApplyEyeMakeup_g0"},
         {"Apply_Lipstick", "Apply_Lipstick/v_ApplyLipstick_g0"},
         {"Yo_Yo", "Yo_Yo/v_YoYo_g0"}}}},
  };
  return *trees;
}

// Train, train, val, test of one class.
constexpr const char* kSplitOf[] = {"train", "train", "val", "test"};

std::string ImageOf(const SplitTree& tree, size_t label, int i) {
  const std::string& prefix = tree.classes[label].second;
  const bool numbered = prefix.back() == '/' || prefix.back() == '_' ||
                        absl::string_view("0123456789").find(prefix.back()) !=
                            absl::string_view::npos;
  return absl::StrCat(prefix, numbered ? "" : "_", i, ".jpg");
}

void WriteSplitTree(const std::string& root, const std::string& name,
                    const SplitTree& tree) {
  std::map<std::string, std::string> triples;
  for (size_t label = 0; label < tree.classes.size(); ++label) {
    for (int i = 0; i < 4; ++i) {
      const std::string image = ImageOf(tree, label, i);
      WritePng(
          absl::StrCat(root, "/", tree.folder, "/", tree.images, "/", image),
          static_cast<int>(label) * 16 + i);
      std::string& list = triples[kSplitOf[i]];
      absl::StrAppend(&list, list.empty() ? "" : ", ", "[\"", image, "\", ",
                      label, ", \"", tree.classes[label].first, "\"]");
    }
  }
  WriteText(
      absl::StrCat(root, "/", tree.folder, "/split_zhou_", name, ".json"),
      absl::StrCat("{\"train\": [", triples["train"], "], \"val\": [",
                   triples["val"], "], \"test\": [", triples["test"], "]}"));
}

void WriteAircraft(const std::string& root) {
  const std::string folder = root + "/fgvc_aircraft/";
  const std::vector<std::string> variants = {"707-320", "F-16A/B",
                                             "Boeing 717"};
  std::map<std::string, std::string> lists;
  for (size_t label = 0; label < variants.size(); ++label) {
    for (int i = 0; i < 4; ++i) {
      const std::string image = absl::StrCat("10257", label, i);
      WritePng(absl::StrCat(folder, "images/", image, ".jpg"),
               static_cast<int>(label) * 16 + i);
      absl::StrAppend(&lists[kSplitOf[i]], image, " ", variants[label], "\n");
    }
  }
  WriteText(folder + "variants.txt", "707-320\nF-16A/B\nBoeing 717\n");
  for (const auto& [split, text] : lists) {
    WriteText(absl::StrCat(folder, "images_variant_", split, ".txt"), text);
  }
}

// Two lines more than there are folders: A and R have 200 of 1000 classes.
constexpr char kClassNames[] =
    "n01440764 tench\nn01443537 goldfish\nn01484850 great white shark\n"
    "n03773504 missile\nn04008634 missile\n";

void WriteImageNetFolder(const std::string& images, int per_class,
                         int first_shade) {
  int shade = first_shade;
  for (const char* wnid : {"n01440764", "n01443537", "n04008634"}) {
    for (int i = 0; i < per_class; ++i) {
      WritePng(absl::StrCat(images, "/", wnid, "/", wnid, "_", i, ".JPEG"),
               shade++);
    }
  }
}

void WriteImageNet(const std::string& root, const std::string& name) {
  const std::map<std::string, std::pair<std::string, std::string>> variants = {
      {"ImageNet-Sketch", {"imagenet-sketch", "images"}},
      {"ImageNet-A", {"imagenet-adversarial", "imagenet-a"}},
      {"ImageNet-R", {"imagenet-rendition", "imagenet-r"}},
  };
  if (name == "ImageNet") {
    WriteText(root + "/imagenet/classnames.txt", kClassNames);
    WriteImageNetFolder(root + "/imagenet/images/train", 2, 0);
    WriteImageNetFolder(root + "/imagenet/images/val", 1, 100);
  } else if (name == "ImageNetV2") {
    WriteText(root + "/imagenetv2/classnames.txt", kClassNames);
    for (int label = 0; label < 5; ++label) {
      WritePng(absl::StrCat(root,
                            "/imagenetv2/imagenetv2-matched-frequency-format-"
                            "val/",
                            label, "/a.jpeg"),
               200 + label);
    }
  } else {
    const auto& [folder, images] = variants.at(name);
    WriteText(absl::StrCat(root, "/", folder, "/classnames.txt"), kClassNames);
    WriteImageNetFolder(absl::StrCat(root, "/", folder, "/", images), 1, 300);
    WriteText(absl::StrCat(root, "/", folder, "/", images, "/README.txt"),
              "read me");
  }
}

}  // namespace

void WriteText(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::string PngBytes(int shade) {
  std::vector<uint8_t> bytes;
  PROMPTD_CHECK(cv::imencode(
      ".png",
      cv::Mat(8, 8, CV_8UC3,
              cv::Scalar(shade & 255, (shade >> 8) & 255, shade >> 16)),
      bytes));
  return {bytes.begin(), bytes.end()};
}

void WritePng(const std::string& path, int shade) {
  WriteText(path, PngBytes(shade));
}

void WriteCoopTree(const std::string& root, const std::string& name) {
  const auto split = SplitTrees().find(name);
  if (split != SplitTrees().end()) {
    WriteSplitTree(root, name, split->second);
  } else if (name == "FGVCAircraft") {
    WriteAircraft(root);
  } else {
    WriteImageNet(root, name);
  }
}

void WriteOwnLists(const std::string& root, const std::string& name) {
  const SplitTree& tree = SplitTrees().at(name);
  const std::string folder = absl::StrCat(root, "/", tree.folder, "/");
  fs::remove(absl::StrCat(folder, "split_zhou_", name, ".json"));
  std::map<std::string, std::string> lists;
  for (size_t label = 0; label < tree.classes.size(); ++label) {
    for (int i = 0; i < 4; ++i) {
      std::string image = ImageOf(tree, label, i);
      const std::string stem = image.substr(0, image.size() - 4);
      if (name == "OxfordPets") {
        image = absl::StrCat(stem, " ", label + 1, " 1 1");
      } else if (name == "Food101") {
        image = stem;
      } else if (name == "SUN397") {
        image = "/" + image;
      } else if (name == "UCF101") {
        const char* actions[] = {"ApplyEyeMakeup", "ApplyLipstick", "YoYo"};
        image = absl::StrCat(actions[label], "/", stem.substr(stem.find("v_")),
                             ".avi ", label + 1);
      }
      absl::StrAppend(&lists[kSplitOf[i]], image, "\n");
    }
  }
  if (name == "OxfordPets") {
    WriteText(folder + "annotations/trainval.txt",
              lists["train"] + lists["val"]);
    WriteText(folder + "annotations/test.txt", lists["test"]);
  } else if (name == "Food101") {
    WriteText(folder + "meta/train.txt", lists["train"] + lists["val"]);
    WriteText(folder + "meta/test.txt", lists["test"]);
  } else if (name == "SUN397") {
    WriteText(folder + "ClassName.txt",
              "/a/abbey\n/c/church/indoor\n/c/church/outdoor\n");
    WriteText(folder + "Training_01.txt", lists["train"] + lists["val"]);
    WriteText(folder + "Testing_01.txt", lists["test"]);
  } else if (name == "UCF101") {
    const std::string lists_folder = folder + "ucfTrainTestlist/";
    WriteText(lists_folder + "classInd.txt",
              "1 ApplyEyeMakeup\r\n2 ApplyLipstick\r\n3 YoYo\r\n");
    WriteText(lists_folder + "trainlist01.txt", lists["train"] + lists["val"]);
    WriteText(lists_folder + "testlist01.txt", lists["test"]);
  } else {
    WriteText(folder + "labels/train1.txt", lists["train"]);
    WriteText(folder + "labels/val1.txt", lists["val"]);
    WriteText(folder + "labels/test1.txt", lists["test"]);
  }
}

}  // namespace promptd::testing
