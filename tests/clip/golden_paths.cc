#include "tests/clip/golden_paths.h"

#include <cstdlib>

#include "absl/strings/str_split.h"

namespace promptd::clip {
namespace {

std::string SourceDir() {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  return source == nullptr ? "." : source;
}

}  // namespace

std::string GoldenDir() {
  const char* folder = std::getenv("PROMPTD_GOLDEN_DIR");
  return folder != nullptr ? folder : SourceDir() + "/tests/golden/clip";
}

std::vector<std::string> ParityEncoders() {
  const char* names = std::getenv("PROMPTD_PARITY_ENCODERS");
  return absl::StrSplit(names == nullptr ? "tiny,tiny_vit,embedded" : names,
                        ',');
}

std::string EncoderPath(const std::string& name) {
  if (name == "embedded") return SourceDir() + "/models/embedded";
  return GoldenDir() + "/" + name;
}

std::string ClipMergesPath() { return SourceDir() + "/models/clip/merges.txt"; }

}  // namespace promptd::clip
