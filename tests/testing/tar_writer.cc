#include "tests/testing/tar_writer.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace promptd::testing {

std::string TarEntryBytes(const TarHeader& header, const std::string& content) {
  std::string block(512, '\0');
  const auto put = [&block](size_t at, const std::string& text) {
    block.replace(at, text.size(), text);
  };
  put(0, header.name.substr(0, 100));
  put(100, "0000644");
  put(124, header.size.empty() ? absl::StrFormat("%011o", content.size())
                               : header.size);
  put(136, "00000000000");
  put(148, "        ");
  block[156] = header.type;
  put(257, std::string("ustar\00000", 8));
  put(345, header.prefix);
  int sum = header.right_checksum ? 0 : 1;
  for (const char c : block) sum += static_cast<uint8_t>(c);
  put(148, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
  const size_t filling = (512 - content.size() % 512) % 512;
  return block + content + std::string(filling, '\0');
}

std::string TarFile(const std::string& name, const std::string& content) {
  TarHeader header;
  header.name = name;
  return TarEntryBytes(header, content);
}

std::string PaxRecord(const std::string& key, const std::string& value) {
  const std::string rest = absl::StrCat(" ", key, "=", value, "\n");
  size_t length = rest.size();
  while (absl::StrCat(length).size() + rest.size() != length) {
    length = absl::StrCat(length).size() + rest.size();
  }
  return absl::StrCat(length, rest);
}

std::string TarEnd() { return std::string(1024, '\0'); }

}  // namespace promptd::testing
