// Opens the images of a list: the step from names to bytes.
#pragma once

#include "absl/status/statusor.h"
#include "datasets/folder_reader.h"
#include "datasets/image_list.h"

namespace promptd::datasets {

struct ListOptions : FolderOptions {
  // Leave images out that no decoder reads, instead of refusing the list; the
  // report has them.
  bool skip_unreadable = false;
};

// Every image of the list, looked up, checked and hashed, as a dataset in the
// list's order. All or nothing: INVALID_ARGUMENT with
//   LISTED_IMAGES_MISSING     files that are not there, are no files, or whose
//                             real path leaves the root;
//   LISTED_IMAGES_UNREADABLE  images that ReadImageHeader or DecodeImage
//                             refuse, and classes that have only such ones;
//   INVALID_MANIFEST          as ValidateManifest.
// The first of the images and their count are told, each with its place in the
// list. Thread-safe; the files must not change meanwhile.
absl::StatusOr<FolderDataset> ReadListedImages(const ImageList& list,
                                               const ListOptions& options);

}  // namespace promptd::datasets
