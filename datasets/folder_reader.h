// A folder of images on this machine, read as a dataset:
//
//   ROOT/<split>/<class>/<image>   splits: train; val, valid or validation;
//                                  test (in any case)
//   ROOT/<class>/<image>           every image is a training image
//
// Classes are ordered by folder name (byte order, as torchvision's ImageFolder
// does); an underscore in a folder name is a space in the class name. Items
// are in byte order of their paths: the same files give the same manifest on
// every machine. Thread-safe; the folder must not change meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "datasets/image_format.h"
#include "datasets/image_source.h"
#include "datasets/manifest.h"

namespace promptd::datasets {

struct FolderOptions {
  std::string name;  // of the dataset
  ImageLimits limits = {};
  // Decode every image, which finds damage inside the pixels. Without it only
  // headers and completeness are looked at: many times faster.
  bool decode = true;
  // Called after each file with the number read and the number there are.
  std::function<void(int64_t read, int64_t total)> progress = {};
};

// A file or folder that is not in the manifest, and why.
struct SkippedFile {
  std::string path;     // relative to the root
  std::string reason;   // stable: IMAGE_TRUNCATED, SYMLINK_OUTSIDE_ROOT, ...
  std::string message;  // one sentence
};

struct FolderReport {
  // What looks as if it should have been an image or a class, by path. Reasons:
  // ReadImageHeader's and ReadFile's, BAD_FILE_NAME, BROKEN_SYMLINK,
  // SYMLINK_OUTSIDE_ROOT, FOLDER_UNREADABLE, NOT_A_REGULAR_FILE,
  // NOT_IN_A_CLASS, NESTED_FOLDER, NOT_A_SPLIT.
  std::vector<SkippedFile> skipped;
  // Hidden files, what operating systems leave behind, and .json, .md and .txt
  // files beside the class folders.
  int64_t ignored_files = 0;
  // Images whose bytes an earlier image has too.
  int64_t repeated_images = 0;
  // Of these, the ones whose bytes an earlier image of another split has. Only
  // lists are looked through for them.
  int64_t images_in_two_splits = 0;
  // False: there were no split folders and all images are training images.
  bool has_splits = false;
};

struct FolderDataset {
  Manifest manifest;
  // Digest to a place on this machine that holds these bytes.
  absl::flat_hash_map<std::string, ImageSource> source_of_digest;
  FolderReport report;
};

// NOT_FOUND (FOLDER_NOT_FOUND); INVALID_ARGUMENT (NOT_A_FOLDER, NO_CLASSES,
// ONE_CLASS, NO_IMAGES, DUPLICATE_SPLIT, INVALID_MANIFEST for class names that
// CLIP cannot tell apart); UNAVAILABLE (FOLDER_UNREADABLE). A file that cannot
// be used is no error but an entry of the report.
absl::StatusOr<FolderDataset> ReadDatasetFolder(const std::string& root,
                                                const FolderOptions& options);

}  // namespace promptd::datasets
