#include "tests/datasets/golden_images.h"

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/check.h"
#include "common/file.h"

namespace promptd::datasets {
namespace {

std::string MustRead(const std::string& path) {
  auto bytes = ReadFile(path, 16 << 20);
  PROMPTD_CHECK(bytes.ok());
  return *std::move(bytes);
}

std::string ReadIfThere(const std::string& path) {
  return std::filesystem::exists(path) ? MustRead(path) : "";
}

// make parity has others than the committed ones.
std::string ImageDir() {
  const char* folder = std::getenv("PROMPTD_GOLDEN_DIR");
  return folder == nullptr ? GoldenPath("images/")
                           : std::string(folder) + "/images/";
}

std::vector<GoldenImage> ReadGoldenImages() {
  const nlohmann::json index =
      nlohmann::json::parse(MustRead(ImageDir() + "index.json"));
  std::vector<GoldenImage> images;
  for (const nlohmann::json& entry : index.at("images")) {
    GoldenImage& image = images.emplace_back();
    image.name = entry.at("file");
    const std::string path = ImageDir() + image.name;
    const std::string stem = path.substr(0, path.rfind('.'));
    image.encoded = MustRead(path);
    image.width = entry.at("width");
    image.height = entry.at("height");
    image.size = entry.at("size");
    image.lossy = entry.at("lossy");
    image.decoded_sha256 = entry.at("decoded_sha256");
    image.crop_sha256 = entry.at("crop_sha256");
    image.tensor_sha256 = entry.at("tensor_sha256");
    image.decoded = ReadIfThere(stem + ".rgb");
    image.crop = ReadIfThere(stem + ".crop");
  }
  PROMPTD_CHECK(images.size() >= 70);
  return images;
}

}  // namespace

std::string GoldenPath(const std::string& name) {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  PROMPTD_CHECK(source != nullptr);
  return std::string(source) + "/tests/golden/datasets/" + name;
}

nlohmann::json GoldenJson(const std::string& name) {
  return nlohmann::json::parse(MustRead(GoldenPath(name)));
}

const std::vector<GoldenImage>& GoldenImages() {
  static const auto* const images =
      new std::vector<GoldenImage>(ReadGoldenImages());
  return *images;
}

}  // namespace promptd::datasets
