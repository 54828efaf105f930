// A list of labelled images as a file or a folder tree names them, before any
// image is opened. Every reader of a layout makes one of these;
// datasets/list_reader.h reads the images.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "datasets/image_source.h"
#include "datasets/list_problems.h"
#include "datasets/manifest.h"

namespace promptd::datasets {

struct ListedImage {
  std::string path;  // in the manifest
  ImageSource source;
  int label = 0;
  Split split = Split::kTrain;
  std::string where;  // "split_zhou_Food101.json: train[3]"
};

struct ImageList {
  std::vector<std::string> class_names;  // in label order
  std::vector<ListedImage> images;       // in the list's order
  // Canonical folders. An image whose real path is below none of them is
  // refused; empty for images inside archives, which have no path of their own.
  std::vector<std::string> roots;
  std::vector<std::string> notes;  // for the user, a sentence each
};

// Which label has which name. A list that gives one label two names, or one
// name (as CLIP folds them) two labels, has a problem at the second place.
// Thread-compatible.
class ClassBook {
 public:
  // `where_label` and `where_name` say where the two stand. False, with a
  // problem added, when they cannot be right.
  bool Note(int64_t label, const std::string& name,
            const std::string& where_label, const std::string& where_name,
            ListProblems* problems);

  // The names in label order; a gap in the labels is a problem.
  std::vector<std::string> Names(const std::string& where,
                                 ListProblems* problems) const;

 private:
  struct Entry {
    std::string name;
    std::string where;
  };
  std::map<int64_t, Entry> entry_of_label_;
  absl::flat_hash_map<std::string, int64_t> label_of_folded_name_;
};

// The list, or INVALID_ARGUMENT (INVALID_IMAGE_LIST) with all `problems` and
// those that no reader sees alone: paths that are absolute or escape the root,
// a path that is listed twice (in two splits above all), labels out of range,
// classes without any image, fewer than two classes, no images.
absl::StatusOr<ImageList> FinishList(ImageList list, ListProblems problems);

// "in_the_wild" as CLIP reads it: "in the wild".
std::string ReadableName(absl::string_view name);

}  // namespace promptd::datasets
