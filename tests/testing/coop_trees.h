// Small trees in the layouts of CoOp's datasets, made on the fly: three
// classes, a handful of tiny PNG images under the names that the lists give.
#pragma once

#include <string>

namespace promptd::testing {

// Writes `text` to ROOT/`path`, with the folders above it.
void WriteText(const std::string& path, const std::string& text);

// An 8 x 8 PNG at `path`; equal `shade` (0 to 2^24 - 1) gives equal bytes.
void WritePng(const std::string& path, int shade);
std::string PngBytes(int shade);

// ROOT/<the dataset's folder>/... of the layout `name` ("OxfordPets"). Images
// a class: 2 train, 1 val, 1 test (ImageNet has no val, its variants test
// only). Aborts on an unknown name.
void WriteCoopTree(const std::string& root, const std::string& name);

// The dataset's own lists in place of split_zhou_*.json, for the five
// datasets where these define the splits.
void WriteOwnLists(const std::string& root, const std::string& name);

}  // namespace promptd::testing
