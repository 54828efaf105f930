// Mutations of good files, always the same ones.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace promptd::weights {

// Flips, cuts, repeats, and bytes that mean something in a pickle.
class Mutator {
 public:
  std::string operator()(std::string bytes) {
    for (uint64_t edits = Below(3) + 1; edits > 0; --edits) Edit(bytes);
    return bytes;
  }

 private:
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void Edit(std::string& bytes) {
    static constexpr char kBytes[] = "()tQRbu}]hqcX.K\x80\x81\x85\x93\xff\0";
    const size_t at = Below(bytes.size());
    switch (Below(6)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        if (!bytes.empty()) bytes[at] ^= static_cast<char>(1 << Below(8));
        break;
      case 2:
        if (!bytes.empty()) bytes[at] = static_cast<char>(Below(256));
        break;
      case 3:
        bytes.insert(at, 1, kBytes[Below(sizeof(kBytes))]);
        break;
      case 4:
        bytes.erase(at, Below(16));
        break;
      default:
        bytes.insert(at, bytes.substr(Below(bytes.size()), Below(64)));
    }
  }

  std::mt19937_64 random_{20240229};
};

}  // namespace promptd::weights
