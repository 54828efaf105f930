// A dataset as promptd knows it: an ordered list of labelled images plus
// ordered class names, all of it in one digest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::datasets {

enum class Split { kTrain, kVal, kTest };

// "train", "val" or "test".
absl::string_view SplitName(Split split);
// The split of a folder's or a list's word: those, "valid" and "validation",
// in any case.
std::optional<Split> SplitOfWord(absl::string_view word);

struct Item {
  std::string path;    // relative, "/" as separator
  std::string digest;  // SHA-256 of the encoded image, lower-case hex
  int class_index = 0;
  Split split = Split::kTrain;

  friend bool operator==(const Item&, const Item&) = default;
};

struct Manifest {
  std::string name;
  std::vector<std::string> class_names;  // in label order
  std::vector<Item> items;               // in order

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// Indexes of a split's items, in order.
std::vector<int> ItemsOfSplit(const Manifest& manifest, Split split);

struct ManifestLimits {
  int max_classes = 4096;
  int64_t max_images = 2'000'000;
  int max_name_bytes = 256;   // one class name
  int max_path_bytes = 1024;  // one image path
};

// All problems at once as field violations: bad dataset name, no classes,
// empty, duplicate (after CLIP's underscore and case folding) or over-long
// class names, class indexes out of range, digests that are not SHA-256, paths
// that are absolute, escape the root or repeat, and limits.
// INVALID_ARGUMENT (INVALID_MANIFEST).
absl::Status ValidateManifest(const Manifest& manifest,
                              const ManifestLimits& limits = {});

// The rules for class names alone, for a list without a dataset. The same
// error.
absl::Status ValidateClassNames(const std::vector<std::string>& names,
                                const ManifestLimits& limits = {});

// SHA-256 over a canonical text of class names and items in order. The name
// is not part of it: the same content under two names has one digest.
std::string ManifestDigest(const Manifest& manifest);

// Canonical JSON, the stored form. FromJson: INTERNAL (BAD_STORED_MANIFEST).
std::string ManifestToJson(const Manifest& manifest);
absl::StatusOr<Manifest> ManifestFromJson(absl::string_view json);

}  // namespace promptd::datasets
