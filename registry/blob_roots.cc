#include "registry/blob_roots.h"

#include <algorithm>

namespace promptd::registry {
namespace {

constexpr size_t kHexDigits = 64;

bool IsHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

uint8_t ValueOf(char c) {
  return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
}

}  // namespace

void BlobRoots::AddAllIn(absl::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = begin;
    while (end < text.size() && IsHex(text[end])) ++end;
    if (end - begin == kHexDigits) {
      digests_.push_back(Parse(text.substr(begin, kHexDigits)));
    }
    begin = end + 1;
  }
}

void BlobRoots::Seal() {
  std::sort(digests_.begin(), digests_.end());
  digests_.erase(std::unique(digests_.begin(), digests_.end()), digests_.end());
}

bool BlobRoots::Has(absl::string_view digest) const {
  return digest.size() == kHexDigits &&
         std::binary_search(digests_.begin(), digests_.end(), Parse(digest));
}

BlobRoots::Digest BlobRoots::Parse(absl::string_view hex) {
  Digest digest;
  for (size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<uint8_t>(ValueOf(hex[2 * i]) << 4 |
                                     ValueOf(hex[2 * i + 1]));
  }
  return digest;
}

}  // namespace promptd::registry
