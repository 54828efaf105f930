// Where tools/goldens/make_checkpoint_goldens.py put its files.
#pragma once

#include <cstdlib>
#include <string>

namespace promptd::weights::testing {

// A path below tests/golden/weights; ctest says where the sources are.
inline std::string Golden(const std::string& name) {
  const char* source = std::getenv("PROMPTD_SOURCE_DIR");
  return std::string(source == nullptr ? "." : source) +
         "/tests/golden/weights/" + name;
}

}  // namespace promptd::weights::testing
