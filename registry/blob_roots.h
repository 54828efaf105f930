// A set of blob digests, built once and then asked. Private to the room.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace promptd::registry {

// 32 bytes a digest, so that a million images fit. Thread-compatible.
class BlobRoots {
 public:
  // Adds every run of exactly 64 lower-case hexadecimal digits in `text`: a
  // digest itself, or all that a JSON text names. Keeping too much is harmless.
  void AddAllIn(absl::string_view text);

  // Call once, between the last AddAllIn and the first Has.
  void Seal();
  bool Has(absl::string_view digest) const;

 private:
  using Digest = std::array<uint8_t, 32>;
  static Digest Parse(absl::string_view hex);

  std::vector<Digest> digests_;
};

}  // namespace promptd::registry
