// Tar shards in WebDataset's convention: entries of one sample share a key,
// the name up to the first dot of its last part.
//
//   KEY.jpg (or .jpeg, .png, .webp) with KEY.cls (a class name or number) or
//   KEY.json ({"label": ..., "split": ...}); both must agree.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/image_list.h"

namespace promptd::datasets {

// The samples of one archive, or of all *.tar of a folder in byte order. The
// split is the JSON's; else what the archive's name begins with
// ("train-0000.tar", "val_1.tar"), else train. Paths in the manifest are
// "<archive without .tar>/<entry>". Labels as ListOfRows.
//
// LIST_NOT_FOUND; BAD_TAR; INVALID_IMAGE_LIST names archive and entry: names
// that leave the archive, extensions that are none of these, samples with two
// images, without an image or without a label.
absl::StatusOr<ImageList> ReadTarShards(
    const std::string& path, const std::vector<std::string>& class_names);

}  // namespace promptd::datasets
