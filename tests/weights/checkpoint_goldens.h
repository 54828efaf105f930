// What tools/goldens/make_checkpoint_goldens.py wrote.
#pragma once

#include <cstdlib>
#include <string>

#include "common/file.h"
#include "weights/checkpoint_import.h"

namespace promptd::weights {

// ctest says where the sources are.
inline std::string SourceDir() {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  return source == nullptr ? "." : source;
}

// A path below tests/golden/weights.
inline std::string Golden(const std::string& name) {
  return SourceDir() + "/tests/golden/weights/" + name;
}

inline std::string ClipMerges() {
  return ReadFile(SourceDir() + "/models/clip/merges.txt", 1 << 20).value();
}

// CLIP's merges cut after the 30 that the goldens have.
inline std::string ShortMerges() {
  const std::string all = ClipMerges();
  size_t end = 0;
  for (int line = 0; line < 31; ++line) end = all.find('\n', end) + 1;
  return all.substr(0, end);
}

inline ImportOptions GoldenOptions(
    Activation activation = Activation::kOfSource) {
  ImportOptions options;
  options.activation = activation;
  options.merges = ShortMerges();
  return options;
}

}  // namespace promptd::weights
