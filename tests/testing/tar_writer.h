// Tar archives byte by byte, honest and hostile ones, for tests.
#pragma once

#include <string>

namespace promptd::testing {

// What one header says; every field may lie.
struct TarHeader {
  std::string name;
  char type = '0';
  std::string prefix = {};  // ustar's first half of the name
  std::string size = {};    // empty: of the content, in octal
  bool right_checksum = true;
};

// A header block, the content and what fills its last block.
std::string TarEntryBytes(const TarHeader& header, const std::string& content);
std::string TarFile(const std::string& name, const std::string& content);
// "LENGTH KEY=VALUE\n".
std::string PaxRecord(const std::string& key, const std::string& value);
// The two empty blocks at the end.
std::string TarEnd();

}  // namespace promptd::testing
