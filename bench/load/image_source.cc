#include "bench/load/image_source.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/sha256.h"

namespace promptd::load {
namespace {

constexpr absl::string_view kStartOfImage = "\xFF\xD8";
constexpr size_t kFreshNumbers = 4;
constexpr size_t kMostFreshBytes = 64;  // of a comment or numbers
constexpr int kDefaultDistinctPixels = 32;

bool IsJpegName(const std::filesystem::path& path) {
  return absl::EndsWithIgnoreCase(path.string(), ".jpg") ||
         absl::EndsWithIgnoreCase(path.string(), ".jpeg");
}

// The files named, and those of the folders named, ordered by name.
absl::StatusOr<std::vector<std::string>> ListFiles(
    const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    const size_t before = files.size();
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(path, error)) {
      if (IsJpegName(entry.path())) files.push_back(entry.path().string());
    }
    if (files.size() == before) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": there is no .jpg or .jpeg file in this folder"));
    }
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
  }
  return files;
}

absl::StatusOr<std::string> ReadJpeg(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!absl::StartsWith(bytes, kStartOfImage)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a JPEG"));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<ImageSource> ImageSource::OfFiles(const ImageOptions& options,
                                                 uint64_t seed) {
  ImageSource source(options, seed);
  absl::StatusOr<std::vector<std::string>> files = ListFiles(options.paths);
  if (!files.ok()) return files.status();
  if (options.distinct > 0) {
    if (files->size() < static_cast<size_t>(options.distinct)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--distinct ", options.distinct, ": there are only ",
                       files->size(), " images"));
    }
    files->resize(static_cast<size_t>(options.distinct));
  }
  for (const std::string& file : *files) {
    absl::StatusOr<std::string> bytes = ReadJpeg(file);
    if (!bytes.ok()) return bytes.status();
    if (options.fresh) bytes->erase(0, kStartOfImage.size());
    source.tails_.emplace_back(*bytes);
    if (options.by_digest) source.digests_.push_back(Sha256Bytes(*bytes));
  }
  return source;
}

ImageSource ImageSource::OfPixels(const ImageOptions& options, int64_t numbers,
                                  uint64_t seed) {
  ImageSource source(options, seed);
  const int count =
      options.distinct > 0 ? options.distinct : kDefaultDistinctPixels;
  std::normal_distribution<float> normal;
  std::vector<float> pixels(static_cast<size_t>(numbers));
  for (int i = 0; i < count; ++i) {
    for (float& value : pixels) value = normal(source.random_);
    const size_t skipped =
        options.fresh ? std::min(kFreshNumbers, pixels.size()) : 0;
    source.tails_.emplace_back(pixels.data() + skipped,
                               (pixels.size() - skipped) * sizeof(float));
  }
  return source;
}

ImageBytes ImageSource::Next() {
  ImageBytes image;
  const size_t index = next_++ % tails_.size();
  if (options_.by_digest) {
    image.head = digests_[index];
    return image;
  }
  image.tail = tails_[index];
  if (options_.fresh) {
    image.head = options_.pixels ? FreshPixels() : FreshComment();
  }
  return image;
}

size_t ImageSource::most_bytes() const {
  size_t most = 0;
  for (const grpc::Slice& tail : tails_) most = std::max(most, tail.size());
  return most + kMostFreshBytes;
}

std::string ImageSource::FreshComment() {
  const std::string text = absl::StrCat(absl::Hex(random_(), absl::kZeroPad16));
  // A segment's length counts its own two bytes.
  const char segment[] = {'\xFF', '\xFE', 0, static_cast<char>(2 + 16)};
  return absl::StrCat(kStartOfImage,
                      absl::string_view(segment, sizeof(segment)), text);
}

std::string ImageSource::FreshPixels() {
  std::uniform_real_distribution<float> uniform(-1, 1);
  float numbers[kFreshNumbers];
  for (float& number : numbers) number = uniform(random_);
  return std::string(reinterpret_cast<const char*>(numbers), sizeof(numbers));
}

}  // namespace promptd::load
