#include "server/plain_tar.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/check.h"
#include "common/error.h"

namespace promptd::server {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kNameBytes = 100;
// Of ustar's header.
constexpr size_t kSizeAt = 124;
constexpr size_t kSizeDigits = 11;
constexpr size_t kSumAt = 148;

size_t Padded(size_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

std::string Header(const std::string& name, size_t bytes) {
  PROMPTD_CHECK(name.size() < kNameBytes);
  std::string header(kBlock, '\0');
  const auto put = [&header](size_t at, absl::string_view text) {
    std::copy(text.begin(), text.end(),
              header.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(kSizeAt, absl::StrFormat("%011o", bytes));
  put(136, "00000000000");
  put(kSumAt, "        ");
  header[156] = '0';
  put(257, absl::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(kSumAt, absl::string_view(absl::StrFormat("%06o", sum)));
  header[kSumAt + 6] = '\0';
  return header;
}

absl::Status Bad(size_t at, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ARCHIVE",
                   absl::StrCat("the archive ", what, " at byte ", at,
                                ": it is not one that promptd wrote, or it "
                                "was changed"));
}

// The size in a member's header; at most what is left of the archive.
absl::StatusOr<size_t> SizeOf(absl::string_view header, size_t at,
                              size_t left) {
  size_t bytes = 0;
  for (const char digit : header.substr(kSizeAt, kSizeDigits)) {
    if (digit < '0' || digit > '7') return Bad(at, "has a wrong size");
    bytes = bytes * 8 + static_cast<size_t>(digit - '0');
  }
  if (bytes > left) return Bad(at, "ends within a member");
  return bytes;
}

}  // namespace

std::string PackTar(const std::vector<TarMember>& members) {
  std::string tar;
  for (const TarMember& member : members) {
    tar += Header(member.name, member.bytes.size());
    tar += member.bytes;
    tar.resize(Padded(tar.size()), '\0');
  }
  tar.resize(tar.size() + 2 * kBlock, '\0');
  return tar;
}

absl::StatusOr<std::vector<TarMember>> UnpackTar(absl::string_view tar) {
  std::vector<TarMember> members;
  size_t at = 0;
  while (at + kBlock <= tar.size() && tar[at] != '\0') {
    const absl::string_view header = tar.substr(at, kBlock);
    const absl::string_view field = header.substr(0, kNameBytes);
    const std::string name(field.substr(0, field.find('\0')));
    const absl::StatusOr<size_t> bytes =
        SizeOf(header, at, tar.size() - at - kBlock);
    if (!bytes.ok()) return bytes.status();
    // Whatever else a header says is not what we write.
    if (name.size() >= kNameBytes || header != Header(name, *bytes)) {
      return Bad(at, "has a member of another kind");
    }
    members.push_back({name, std::string(tar.substr(at + kBlock, *bytes))});
    at += kBlock + Padded(*bytes);
  }
  // The padding and the end.
  if (PackTar(members) != tar) {
    return Bad(std::min(at, tar.size()), "does not end as it should");
  }
  return members;
}

}  // namespace promptd::server
