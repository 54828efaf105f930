// The three kinds of lists behind datasets/coop_layout.h. Private to this room.
//
// `folder` is the dataset's own, canonical; images are looked for below
// `folder`/`images`, and their manifest paths begin there.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "datasets/coop_layout.h"
#include "datasets/image_list.h"

namespace promptd::datasets {

struct CoopFolder {
  std::string folder;
  std::string images;  // relative, may be empty

  // Relative to the folder, for the manifest.
  std::string ImagePath(absl::string_view image) const;
  std::string Absolute(absl::string_view path) const;
};

// split_zhou_*.json: {"train": [[image, label, class name], ...], "val": ...,
// "test": ...}. Class names are CoOp's already.
absl::StatusOr<ImageList> ReadSplitJson(const CoopFolder& at,
                                        const std::string& split_file);

// The dataset's own text files; class names are edited as CoOp edits them.
absl::StatusOr<ImageList> ReadTextLists(const CoopFolder& at,
                                        const TextLists& lists);

// Folders of classes with classnames.txt ("n01440764 tench"). Test images are
// the official validation images. Labels count the folders in byte order, or
// are their names.
absl::StatusOr<ImageList> ReadClassFolders(const CoopFolder& at,
                                           const ClassFolders& folders);

}  // namespace promptd::datasets
