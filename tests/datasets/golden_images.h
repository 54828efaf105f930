// The images and the results that tools/goldens/datasets_images.py wrote with
// Pillow.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "datasets/image.h"

namespace promptd::datasets {

struct GoldenImage {
  std::string name;     // the file's
  std::string encoded;  // its bytes
  int width = 0;
  int height = 0;
  int size = 0;  // side of the crop
  bool lossy = false;
  std::string decoded_sha256;  // of Pillow's RGB pixels
  std::string crop_sha256;     // of them resized and cropped
  std::string tensor_sha256;   // of the crop as normalised floats
  std::string decoded;         // the pixels, lossy images only
  std::string crop;            // the pixels, chosen cases only
};

// All of them, chosen cases and some of every kind, or those of make parity in
// PROMPTD_GOLDEN_DIR/images; aborts when they cannot be read, so no test passes
// on nothing.
const std::vector<GoldenImage>& GoldenImages();

// PROMPTD_SOURCE_DIR/tests/golden/datasets/`name`.
std::string GoldenPath(const std::string& name);

// The file there, parsed; aborts when it cannot be read.
nlohmann::json GoldenJson(const std::string& name);

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()),
                     values.size() * sizeof(T));
}

}  // namespace promptd::datasets
