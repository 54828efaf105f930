// The folders in which CoOp's users keep its fifteen datasets (DATASETS.md of
// github.com/KaiyangZhou/CoOp), as data, and their reading.
//
//   ASSIGN_OR_RETURN(ImageList list,
//                    ReadCoopDataset("/data", *FindCoopLayout("OxfordPets")));
//
// Everything here is thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "datasets/image_list.h"

namespace promptd::datasets {

// Text files of the dataset's own that say which image is in which split.
struct TextLists {
  enum class Line {
    kPet,       // "Abyssinian_100 1 1 1"                  label from 1
    kAircraft,  // "1025794 707-320"
    kTexture,   // "banded/banded_0002.jpg"
    kFood,      // "apple_pie/1005649"
    kScene,     // "/a/abbey/sun_aaalbzqrimafwbiv.jpg"
    kVideo,     // "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"
  };
  Line line = Line::kTexture;
  // The classes in label order, one a line; nullptr where labels stand in the
  // lines or follow from the classes' byte order.
  const char* classes = nullptr;
  const char* train = nullptr;
  const char* val = nullptr;  // nullptr: there is none
  const char* test = nullptr;
};

// ImageNet and its variants: a folder a class, named in classnames.txt.
struct ClassFolders {
  const char* train = nullptr;  // below the image folder; nullptr: none
  const char* test = "";
  // Folders are label numbers instead of WordNet ids.
  bool numbered = false;
};

struct CoopLayout {
  const char* name = nullptr;           // "OxfordPets", as CoOp's scripts say
  const char* folder = nullptr;         // below the root
  const char* images = nullptr;         // below `folder`
  const char* template_text = nullptr;  // CoOp's, with one {}
  const char* split_file = nullptr;     // split_zhou_*.json; nullptr: none
  std::optional<TextLists> lists = {};
  std::optional<ClassFolders> folders = {};

  bool test_only() const { return folders && folders->train == nullptr; }
};

const std::vector<CoopLayout>& CoopLayouts();

// By name in any case, dashes ignored ("ImageNet-A", "imagenet_a"); nullptr
// when there is none.
const CoopLayout* FindCoopLayout(absl::string_view name);

// The dataset below `root`, which is the folder of all datasets or the
// dataset's own. The split file is taken where it is; else the dataset's own
// lists, with a note that these are not CoOp's splits.
//
// NOT_FOUND (LIST_NOT_FOUND) names the file or folder that is missing and
// where it belongs; INVALID_ARGUMENT (INVALID_IMAGE_LIST) has every problem of
// the lists with file, line and field.
absl::StatusOr<ImageList> ReadCoopDataset(const std::string& root,
                                          const CoopLayout& layout);

}  // namespace promptd::datasets
