#include "weights/zip_directory.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/little_endian.h"

namespace promptd::weights {
namespace {

constexpr int64_t kEndBytes = 22;
constexpr int64_t kLocatorBytes = 20;
constexpr int64_t kEnd64Bytes = 56;
constexpr int64_t kRecordBytes = 46;
constexpr size_t kMaxNameBytes = 512;

constexpr absl::string_view kEndMark("PK\5\6", 4);
constexpr absl::string_view kEnd64Mark("PK\6\6", 4);
constexpr absl::string_view kLocatorMark("PK\6\7", 4);
constexpr absl::string_view kRecordMark("PK\1\2", 4);
constexpr absl::string_view kLocalMark("PK\3\4", 4);

constexpr uint64_t kIn64 = 0xffffffffu;   // 32-bit field moved to ZIP64
constexpr uint64_t kCountIn64 = 0xffffu;  // 16-bit field moved to ZIP64
constexpr uint64_t kMaxOffset = uint64_t{1} << 62;

bool HasMark(absl::string_view bytes, int64_t at, absl::string_view mark) {
  return at >= 0 && at <= static_cast<int64_t>(bytes.size()) &&
         absl::StartsWith(bytes.substr(static_cast<size_t>(at)), mark);
}

absl::Status NoEnd(absl::string_view bytes, absl::string_view source) {
  if (!HasMark(bytes, 0, kLocalMark)) {
    return ZipError(source, "ZIP_NOT_AN_ARCHIVE", "", 0,
                    "not a ZIP archive as torch.save writes it");
  }
  if (absl::StrContains(
          bytes.substr(bytes.size() < 70000 ? 0 : bytes.size() - 70000),
          kEndMark)) {
    return ZipError(source, "ZIP_TRAILING_BYTES", "",
                    static_cast<int64_t>(bytes.size()),
                    "bytes or a comment after the end record");
  }
  return ZipError(source, "ZIP_TRUNCATED", "",
                  static_cast<int64_t>(bytes.size()),
                  "the file ends before its end record: copy it again");
}

// Relative names of visible components. Backslashes and colons mean folders
// and drives elsewhere.
bool IsSafeName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  for (char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\' ||
        c == ':') {
      return false;
    }
  }
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

// TorchScript keeps its sources, which nobody reads here, in ROOT/code/.
bool IsCode(absl::string_view name) {
  const size_t slash = name.find('/');
  return slash != name.npos && absl::StartsWith(name.substr(slash), "/code/");
}

absl::Status CheckRecord(const ZipRecord& record, absl::string_view source,
                         ZipLayout layout) {
  const auto error = [&](absl::string_view reason, absl::string_view what) {
    return ZipError(source, reason, record.name, record.header_offset, what);
  };
  if (!IsSafeName(record.name)) {
    return error("ZIP_BAD_NAME",
                 "names are relative, 1 to 512 bytes, without \"..\", empty "
                 "parts, backslashes, colons or control characters");
  }
  // Bits 0, 6 and 13: encryption of the content and of the directory.
  if ((record.flags & 0x2041) != 0) {
    return error("ZIP_ENCRYPTED", "is encrypted");
  }
  if (layout == ZipLayout::kTorch && record.method == kZipDeflated &&
      !IsCode(record.name)) {
    return error("ZIP_COMPRESSED", "is compressed; torch stores its data");
  }
  if (record.method != kZipStored && record.method != kZipDeflated) {
    return error(
        "ZIP_COMPRESSED",
        absl::StrCat("compression method ", record.method, " is not stored"));
  }
  // Bits 1 and 2 speak of deflate's effort, bit 11 of UTF-8 names.
  if ((record.flags & ~(kZipHasDescriptor | 0x0806)) != 0) {
    return error("ZIP_UNSUPPORTED", absl::StrCat("flags ", record.flags));
  }
  if (record.method == kZipStored &&
      record.compressed_bytes != record.size_bytes) {
    return error("ZIP_HEADERS_DIFFER",
                 absl::StrCat("is stored in ", record.compressed_bytes,
                              " bytes and has ", record.size_bytes));
  }
  return absl::OkStatus();
}

// Fields that did not fit 32 bits follow in the ZIP64 extra field, in order.
bool TakeFrom64(absl::string_view& zip64, uint64_t* value) {
  if (*value != kIn64) return true;
  if (zip64.size() < 8) return false;
  *value = LittleEndian(zip64, 0, 8);
  zip64.remove_prefix(8);
  return *value < kMaxOffset;
}

}  // namespace

absl::StatusOr<ZipDirectoryPlace> FindZipDirectory(absl::string_view bytes,
                                                   absl::string_view source,
                                                   const ZipLimits& limits) {
  const int64_t end = static_cast<int64_t>(bytes.size()) - kEndBytes;
  if (!HasMark(bytes, end, kEndMark) || LittleEndian(bytes, end + 20, 2) != 0) {
    return NoEnd(bytes, source);
  }
  const auto bad = [&](absl::string_view what) {
    return ZipError(source, "ZIP_BAD_DIRECTORY", "", end, what);
  };
  uint64_t disks = LittleEndian(bytes, end + 4, 4);
  uint64_t here = LittleEndian(bytes, end + 8, 2);
  uint64_t count = LittleEndian(bytes, end + 10, 2);
  uint64_t size = LittleEndian(bytes, end + 12, 4);
  uint64_t begin = LittleEndian(bytes, end + 16, 4);
  int64_t directory_end = end;
  const int64_t locator = end - kLocatorBytes;
  if (HasMark(bytes, locator, kLocatorMark)) {
    const int64_t end64 = locator - kEnd64Bytes;
    if (!HasMark(bytes, end64, kEnd64Mark) ||
        LittleEndian(bytes, locator + 4, 4) != 0 ||
        LittleEndian(bytes, locator + 8, 8) != static_cast<uint64_t>(end64) ||
        LittleEndian(bytes, locator + 16, 4) != 1 ||
        LittleEndian(bytes, end64 + 4, 8) != kEnd64Bytes - 12) {
      return bad("the ZIP64 end record is not where it should be");
    }
    const auto agree = [&](uint64_t small, int64_t at, uint64_t moved,
                           uint64_t* value) {
      *value = LittleEndian(bytes, at, 8);
      return small == moved || small == *value;
    };
    disks |= LittleEndian(bytes, end64 + 16, 8);
    if (!agree(here, end64 + 24, kCountIn64, &here) ||
        !agree(count, end64 + 32, kCountIn64, &count) ||
        !agree(size, end64 + 40, kIn64, &size) ||
        !agree(begin, end64 + 48, kIn64, &begin)) {
      return bad("the two end records differ");
    }
    directory_end = end64;
  }
  if (disks != 0 || here != count) return bad("spans several disks");
  if (count > static_cast<uint64_t>(limits.max_entries)) {
    return ZipError(
        source, "ZIP_TOO_MANY_ENTRIES", "", end,
        absl::StrCat(count, " entries; the limit is ", limits.max_entries));
  }
  if (begin > static_cast<uint64_t>(directory_end) ||
      size != static_cast<uint64_t>(directory_end) - begin) {
    return bad("the directory does not end where the end record begins");
  }
  return ZipDirectoryPlace{static_cast<int64_t>(begin),
                           static_cast<int64_t>(size),
                           static_cast<int64_t>(count)};
}

absl::StatusOr<std::vector<ZipRecord>> ReadZipDirectory(
    absl::string_view bytes, absl::string_view source,
    const ZipDirectoryPlace& place, ZipLayout layout) {
  const int64_t end = place.begin_bytes + place.size_bytes;
  std::vector<ZipRecord> records;
  int64_t at = place.begin_bytes;
  for (int64_t i = 0; i < place.entries; ++i) {
    const auto bad = [&](absl::string_view what) {
      return ZipError(source, "ZIP_BAD_DIRECTORY", "", at, what);
    };
    if (end - at < kRecordBytes || !HasMark(bytes, at, kRecordMark)) {
      return bad(absl::StrCat("record ", i, " is missing"));
    }
    const auto field = [&](int64_t offset, int width) {
      return LittleEndian(bytes, at + offset, width);
    };
    const int64_t name_bytes = static_cast<int64_t>(field(28, 2));
    const int64_t extra_bytes = static_cast<int64_t>(field(30, 2));
    const int64_t comment_bytes = static_cast<int64_t>(field(32, 2));
    if (end - at - kRecordBytes < name_bytes + extra_bytes + comment_bytes) {
      return bad(absl::StrCat("record ", i, " passes the directory's end"));
    }
    ZipRecord record;
    record.name = std::string(bytes.substr(at + kRecordBytes, name_bytes));
    record.record_offset = at;
    record.flags = static_cast<uint16_t>(field(8, 2));
    record.method = static_cast<uint16_t>(field(10, 2));
    record.crc32 = static_cast<uint32_t>(field(16, 4));
    uint64_t compressed = field(20, 4), size = field(24, 4);
    uint64_t header = field(42, 4);
    absl::string_view zip64;
    if (!ReadZipExtra(bytes.substr(at + kRecordBytes + name_bytes, extra_bytes),
                      &zip64) ||
        !TakeFrom64(zip64, &size) || !TakeFrom64(zip64, &compressed) ||
        !TakeFrom64(zip64, &header) || !zip64.empty()) {
      return bad(absl::StrCat("record ", i, " has bad extra fields"));
    }
    if (comment_bytes != 0 || field(34, 2) != 0) {
      return bad(absl::StrCat("record ", i, " has a comment or a disk"));
    }
    record.compressed_bytes = static_cast<int64_t>(compressed);
    record.size_bytes = static_cast<int64_t>(size);
    record.header_offset = static_cast<int64_t>(header);
    RETURN_IF_ERROR(CheckRecord(record, source, layout));
    records.push_back(std::move(record));
    at += kRecordBytes + name_bytes + extra_bytes;
  }
  if (at != end) {
    return ZipError(source, "ZIP_BAD_DIRECTORY", "", at,
                    "bytes between the last record and the end record");
  }
  return records;
}

bool ReadZipExtra(absl::string_view extra, absl::string_view* zip64) {
  constexpr uint64_t kZip64Id = 0x0001, kTorchPaddingId = 0x4246;
  while (!extra.empty()) {
    if (extra.size() < 4) return false;
    const uint64_t id = LittleEndian(extra, 0, 2);
    const uint64_t size = LittleEndian(extra, 2, 2);
    extra.remove_prefix(4);
    if (size > extra.size()) return false;
    if (id == kZip64Id && zip64->empty()) {
      *zip64 = extra.substr(0, size);
    } else if (id != kTorchPaddingId) {
      return false;
    }
    extra.remove_prefix(size);
  }
  return true;
}

absl::Status ZipError(absl::string_view source, absl::string_view reason,
                      absl::string_view name, int64_t offset,
                      absl::string_view what) {
  const std::string entry =
      name.empty() ? ""
                   : absl::StrCat("entry \"",
                                  absl::CHexEscape(name.substr(0, 80)), "\" ");
  return MakeError(
      absl::StatusCode::kInvalidArgument, reason,
      absl::StrCat(source, ": ", entry, "at offset ", offset, ": ", what));
}

}  // namespace promptd::weights
