// The images that requests carry: files or random pixels, in turn, shared
// between requests rather than copied.
#pragma once

#include <grpcpp/support/slice.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/load/options.h"

namespace promptd::load {

// An image's bytes: `head`, then `tail`. Or its digest, in `head`.
struct ImageBytes {
  std::string head;  // what is this image's alone
  grpc::Slice tail;  // shared

  size_t size() const { return head.size() + tail.size(); }
};

// Thread-compatible.
class ImageSource {
 public:
  // INVALID_ARGUMENT for a file that is no JPEG or a folder without one,
  // NOT_FOUND for one that cannot be read.
  static absl::StatusOr<ImageSource> OfFiles(const ImageOptions& options,
                                             uint64_t seed);
  // Images of `numbers` float32 each.
  static ImageSource OfPixels(const ImageOptions& options, int64_t numbers,
                              uint64_t seed);

  ImageBytes Next();

  bool by_digest() const { return options_.by_digest; }
  // Of the largest image.
  size_t most_bytes() const;
  // Different images, unless each is fresh.
  int count() const { return static_cast<int>(tails_.size()); }

 private:
  ImageSource(const ImageOptions& options, uint64_t seed)
      : options_(options), random_(seed) {}

  std::string FreshComment();
  std::string FreshPixels();

  ImageOptions options_;
  std::mt19937_64 random_;
  // Without what a fresh head replaces.
  std::vector<grpc::Slice> tails_;
  std::vector<std::string> digests_;  // of those, if they are asked for
  size_t next_ = 0;
};

}  // namespace promptd::load
