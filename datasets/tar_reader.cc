#include "datasets/tar_reader.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "datasets/list_problems.h"
#include "datasets/list_text.h"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBlock = 512;
constexpr int64_t kMaxExtendedBytes = int64_t{1} << 20;
constexpr size_t kMaxEntries = 4'000'000;

// The text up to the first NUL of a fixed field.
absl::string_view Field(absl::string_view block, size_t at, size_t size) {
  const absl::string_view field = block.substr(at, size);
  return field.substr(0, field.find('\0'));
}

// Octal digits between spaces and NULs, or GNU's big-endian form of 2^33 and
// more; nullopt for anything else and for what does not fit.
std::optional<int64_t> Number(absl::string_view block, size_t at, size_t size) {
  const absl::string_view raw = block.substr(at, size);
  int64_t value = 0;
  if (static_cast<uint8_t>(raw[0]) == 0x80) {
    for (const char c : raw.substr(1)) {
      if (value > std::numeric_limits<int64_t>::max() >> 8) return {};
      value = (value << 8) | static_cast<uint8_t>(c);
    }
    return value;
  }
  absl::string_view digits = raw.substr(0, raw.find('\0'));
  while (absl::ConsumePrefix(&digits, " ")) {
  }
  while (absl::ConsumeSuffix(&digits, " ")) {
  }
  if (digits.empty()) return {};
  for (const char c : digits) {
    if (c < '0' || c > '7') return {};
    value = value * 8 + (c - '0');  // twelve digits at most
  }
  return value;
}

bool ChecksumIsRight(absl::string_view block) {
  int64_t sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= 148 && i < 156;
    sum += own ? ' ' : static_cast<uint8_t>(block[i]);
  }
  return Number(block, 148, 8) == sum;
}

// What an extended header says about the entry behind it.
struct Extended {
  std::optional<std::string> name;
  std::optional<int64_t> bytes;
};

// One walk over one archive. Used by one thread.
class TarWalk {
 public:
  TarWalk(std::string path, int64_t size)
      : path_(std::move(path)), size_(size) {}

  absl::StatusOr<std::vector<TarEntry>> Walk() {
    while (true) {
      ASSIGN_OR_RETURN(const std::string block, Read(kBlock));
      if (block.find_first_not_of('\0') == std::string::npos) break;
      RETURN_IF_ERROR(ReadEntry(block));
      if (entries_.size() > kMaxEntries) {
        return Bad(absl::StrCat("has more than ", kMaxEntries, " entries"));
      }
    }
    return std::move(entries_);
  }

 private:
  absl::Status ReadEntry(const std::string& block) {
    if (at_ == kBlock && (absl::StartsWith(block, "\x1f\x8b") ||
                          absl::StartsWith(block, "BZh") ||
                          absl::StartsWith(block,
                                           "\xfd"
                                           "7zXZ") ||
                          absl::StartsWith(block, "\x28\xb5\x2f\xfd"))) {
      return Bad("is compressed: decompress it first (e.g. gunzip)");
    }
    if (!ChecksumIsRight(block)) {
      return Bad(
          "has a header with a wrong checksum: no tar archive, or a "
          "damaged one");
    }
    const std::optional<int64_t> bytes = Number(block, 124, 12);
    if (!bytes) return Bad("has an entry whose size is no number");
    const char type = block[156];
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      return ReadExtended(type, *bytes);
    }
    return TakeEntry(block, type, *bytes);
  }

  absl::Status TakeEntry(const std::string& block, char type, int64_t bytes) {
    const Extended extended = std::exchange(extended_, {});
    TarEntry entry;
    entry.name = extended.name.value_or(PlainName(block));
    entry.bytes = extended.bytes.value_or(bytes);
    entry.offset = at_;
    if (type == '5') return Skip(entry.bytes);
    if (type != '0' && type != '\0' && type != '7') {
      return Bad(absl::StrCat("has an entry ", QuotedText(entry.name),
                              " that is no regular file: only files and "
                              "folders are read"));
    }
    RETURN_IF_ERROR(Skip(entry.bytes));
    entries_.push_back(std::move(entry));
    return absl::OkStatus();
  }

  // ustar splits long names in two.
  static std::string PlainName(absl::string_view block) {
    const absl::string_view name = Field(block, 0, 100);
    const bool ustar = block.substr(257, 6) == absl::string_view("ustar\0", 6);
    const absl::string_view prefix = ustar ? Field(block, 345, 155) : "";
    return prefix.empty() ? std::string(name) : absl::StrCat(prefix, "/", name);
  }

  absl::Status ReadExtended(char type, int64_t bytes) {
    if (bytes > kMaxExtendedBytes) {
      return Bad(absl::StrCat("has an extended header of ", bytes,
                              " bytes; the limit is ", kMaxExtendedBytes));
    }
    const int64_t begin = at_;
    RETURN_IF_ERROR(Skip(bytes));
    ASSIGN_OR_RETURN(const std::string text,
                     ReadFileRange(path_, begin, bytes));
    if (type == 'L') {
      extended_.name = std::string(Field(text, 0, text.size()));
    } else if (type == 'x') {
      return ReadRecords(text);
    }
    return absl::OkStatus();  // 'g' and 'K' say nothing that is needed
  }

  // Records of pax: "LENGTH KEY=VALUE\n", LENGTH counting all of it.
  absl::Status ReadRecords(absl::string_view text) {
    while (!text.empty()) {
      const size_t space = text.find(' ');
      size_t length = 0;
      if (space > 10 || !absl::SimpleAtoi(text.substr(0, space), &length) ||
          length <= space + 1 || length > text.size() ||
          text[length - 1] != '\n') {
        return Bad("has a pax header that is malformed");
      }
      const absl::string_view record =
          text.substr(space + 1, length - space - 2);
      text.remove_prefix(length);
      const size_t equals = record.find('=');
      if (equals == absl::string_view::npos) {
        return Bad("has a pax header that is malformed");
      }
      RETURN_IF_ERROR(
          TakeRecord(record.substr(0, equals), record.substr(equals + 1)));
    }
    return absl::OkStatus();
  }

  absl::Status TakeRecord(absl::string_view key, absl::string_view value) {
    if (absl::StartsWith(key, "GNU.sparse")) {
      return Bad("has a sparse file, which is not read");
    }
    if (key == "path") extended_.name = std::string(value);
    if (key == "size") {
      int64_t bytes = 0;
      if (!absl::SimpleAtoi(value, &bytes) || bytes < 0) {
        return Bad("has an entry whose size is no number");
      }
      extended_.bytes = bytes;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Read(int64_t bytes) {
    if (bytes > size_ - at_) return EndsEarly();
    ASSIGN_OR_RETURN(std::string text, ReadFileRange(path_, at_, bytes));
    at_ += bytes;
    if (static_cast<int64_t>(text.size()) != bytes) return EndsEarly();
    return text;
  }

  // Over a content and what fills its last block.
  absl::Status Skip(int64_t bytes) {
    if (bytes > size_ - at_) return EndsEarly();
    at_ = std::min(size_, at_ + (bytes + kBlock - 1) / kBlock * kBlock);
    return absl::OkStatus();
  }

  absl::Status EndsEarly() const {
    return Bad("ends early: copy or write it again");
  }
  absl::Status Bad(absl::string_view what) const {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_TAR",
        absl::StrCat(path_, ": byte ", at_, ": the archive ", what));
  }

  const std::string path_;
  const int64_t size_;
  int64_t at_ = 0;
  Extended extended_;
  std::vector<TarEntry> entries_;
};

}  // namespace

absl::StatusOr<std::vector<TarEntry>> ListTar(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) {
    return MakeError(absl::StatusCode::kNotFound, "LIST_NOT_FOUND",
                     absl::StrCat("there is no archive ", path, " (",
                                  error.message(), "): check the path"));
  }
  return TarWalk(path, static_cast<int64_t>(size)).Walk();
}

}  // namespace promptd::datasets
