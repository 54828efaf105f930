#include "datasets/coop_layout.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/coop_lists.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using Line = TextLists::Line;

constexpr char kPhoto[] = "a photo of a {}.";

std::vector<CoopLayout> SplitLayouts() {
  return {
      {"Caltech101", "caltech-101", "101_ObjectCategories", kPhoto,
       "split_zhou_Caltech101.json"},
      {"OxfordPets", "oxford_pets", "images", "a photo of a {}, a type of pet.",
       "split_zhou_OxfordPets.json",
       TextLists{Line::kPet, nullptr, "annotations/trainval.txt", nullptr,
                 "annotations/test.txt"}},
      {"StanfordCars", "stanford_cars", "", kPhoto,
       "split_zhou_StanfordCars.json"},
      {"OxfordFlowers", "oxford_flowers", "jpg",
       "a photo of a {}, a type of flower.", "split_zhou_OxfordFlowers.json"},
      {"Food101", "food-101", "images", "a photo of {}, a type of food.",
       "split_zhou_Food101.json",
       TextLists{Line::kFood, nullptr, "meta/train.txt", nullptr,
                 "meta/test.txt"}},
      {"FGVCAircraft", "fgvc_aircraft", "images",
       "a photo of a {}, a type of aircraft.", nullptr,
       TextLists{Line::kAircraft, "variants.txt", "images_variant_train.txt",
                 "images_variant_val.txt", "images_variant_test.txt"}},
      {"SUN397", "sun397", "SUN397", kPhoto, "split_zhou_SUN397.json",
       TextLists{Line::kScene, "ClassName.txt", "Training_01.txt", nullptr,
                 "Testing_01.txt"}},
      {"DescribableTextures", "dtd", "images", "{} texture.",
       "split_zhou_DescribableTextures.json",
       TextLists{Line::kTexture, nullptr, "labels/train1.txt",
                 "labels/val1.txt", "labels/test1.txt"}},
      {"EuroSAT", "eurosat", "2750", "a centered satellite photo of {}.",
       "split_zhou_EuroSAT.json"},
      {"UCF101", "ucf101", "UCF-101-midframes", "a photo of a person doing {}.",
       "split_zhou_UCF101.json",
       TextLists{Line::kVideo, "ucfTrainTestlist/classInd.txt",
                 "ucfTrainTestlist/trainlist01.txt", nullptr,
                 "ucfTrainTestlist/testlist01.txt"}},
  };
}

std::vector<CoopLayout> AllLayouts() {
  std::vector<CoopLayout> layouts = SplitLayouts();
  const auto add = [&layouts](const char* name, const char* folder,
                              const char* images, ClassFolders folders) {
    layouts.push_back(
        {name, folder, images, kPhoto, nullptr, std::nullopt, folders});
  };
  add("ImageNet", "imagenet", "images", {"train", "val", false});
  add("ImageNetV2", "imagenetv2", "imagenetv2-matched-frequency-format-val",
      {nullptr, "", true});
  add("ImageNet-Sketch", "imagenet-sketch", "images", {});
  add("ImageNet-A", "imagenet-adversarial", "imagenet-a", {});
  add("ImageNet-R", "imagenet-rendition", "imagenet-r", {});
  return layouts;
}

std::string PlainName(absl::string_view name) {
  return absl::AsciiStrToLower(
      absl::StrReplaceAll(name, {{"-", ""}, {"_", ""}}));
}

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

absl::Status NotFound(absl::string_view what, absl::string_view fix) {
  return MakeError(absl::StatusCode::kNotFound, "LIST_NOT_FOUND",
                   absl::StrCat("there is no ", what, ": ", fix));
}

// A file that only this dataset's folder holds.
std::string TellTale(const CoopLayout& layout) {
  if (layout.folders) return "classnames.txt";
  return layout.split_file != nullptr ? layout.split_file : layout.lists->train;
}

absl::StatusOr<CoopFolder> FindFolder(const std::string& root,
                                      const CoopLayout& layout) {
  std::error_code error;
  fs::path folder = fs::canonical(fs::path(root) / layout.folder, error);
  if (error) {
    folder = fs::canonical(root, error);
    if (error) return NotFound(root, "check the path");
    const bool own =
        folder.filename() == layout.folder ||
        Exists((folder / TellTale(layout)).string()) ||
        (layout.lists && Exists((folder / layout.lists->train).string()));
    if (!own) {
      return NotFound(absl::StrCat("folder ", layout.folder, " in ", root),
                      absl::StrCat("give the folder that holds ", layout.folder,
                                   "/, or that folder itself"));
    }
  }
  CoopFolder found{folder.string(), layout.images};
  if (!fs::is_directory(found.Absolute(layout.images), error)) {
    return NotFound(
        absl::StrCat("folder ", found.Absolute(layout.images)),
        absl::StrCat("the images of ", layout.name, " belong there"));
  }
  return found;
}

absl::StatusOr<ImageList> ReadOwnLists(const CoopFolder& at,
                                       const CoopLayout& layout) {
  ASSIGN_OR_RETURN(ImageList list, ReadTextLists(at, *layout.lists));
  if (layout.split_file != nullptr) {
    list.notes.push_back(absl::StrCat(
        "no ", layout.split_file, " in ", at.folder,
        ": the splits are the dataset's own (", layout.lists->train, " ...)",
        layout.lists->val == nullptr ? ", without validation images" : "",
        ", not those of CoOp's tables"));
  }
  return list;
}

absl::Status MissingLists(const CoopFolder& at, const CoopLayout& layout) {
  if (layout.split_file == nullptr) {
    return NotFound(at.Absolute(layout.lists->train),
                    "it comes with the dataset's archive");
  }
  return NotFound(
      at.Absolute(layout.split_file),
      absl::StrCat("download it from the link in CoOp's DATASETS.md",
                   layout.lists ? absl::StrCat(", or put the dataset's own ",
                                               layout.lists->train, " there")
                                : std::string()));
}

}  // namespace

const std::vector<CoopLayout>& CoopLayouts() {
  static const auto* const layouts = new std::vector<CoopLayout>(AllLayouts());
  return *layouts;
}

const CoopLayout* FindCoopLayout(absl::string_view name) {
  for (const CoopLayout& layout : CoopLayouts()) {
    if (PlainName(layout.name) == PlainName(name)) return &layout;
  }
  return nullptr;
}

absl::StatusOr<ImageList> ReadCoopDataset(const std::string& root,
                                          const CoopLayout& layout) {
  ASSIGN_OR_RETURN(const CoopFolder at, FindFolder(root, layout));
  if (layout.folders) return ReadClassFolders(at, *layout.folders);
  absl::StatusOr<ImageList> list = MissingLists(at, layout);
  if (layout.split_file != nullptr && Exists(at.Absolute(layout.split_file))) {
    list = ReadSplitJson(at, layout.split_file);
  } else if (layout.lists && Exists(at.Absolute(layout.lists->train))) {
    list = ReadOwnLists(at, layout);
  }
  if (!list.ok()) return list;
  std::error_code error;
  // The image folder may itself be a symlink: what matters is what is in it.
  list->roots = {fs::canonical(at.Absolute(at.images), error).string()};
  return list;
}

}  // namespace promptd::datasets
