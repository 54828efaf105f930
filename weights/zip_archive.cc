#include "weights/zip_archive.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "weights/crc32.h"
#include "weights/inflate.h"
#include "weights/little_endian.h"
#include "weights/zip_directory.h"

namespace promptd::weights {
namespace {

// A local header and the descriptor after the content, compared with the
// directory's record. Returns where the entry ends; sets `begin` to where its
// content does. `limit` is where the directory begins.
class LocalEntry {
 public:
  LocalEntry(absl::string_view bytes, absl::string_view source, int64_t limit,
             const ZipRecord& record)
      : bytes_(bytes), source_(source), limit_(limit), record_(record) {}

  absl::StatusOr<int64_t> Check(int64_t* begin) const {
    const int64_t at = record_.header_offset;
    if (at > limit_ - kZipLocalBytes) return OutOfRange("its header");
    const auto field = [&](int64_t offset, int width) {
      return LittleEndian(bytes_, at + offset, width);
    };
    if (field(0, 4) != 0x04034b50) return Differs("no local header is there");
    const int64_t name_bytes = static_cast<int64_t>(field(26, 2));
    const int64_t extra_bytes = static_cast<int64_t>(field(28, 2));
    if (name_bytes + extra_bytes > limit_ - at - kZipLocalBytes) {
      return OutOfRange("its header");
    }
    if (bytes_.substr(at + kZipLocalBytes, name_bytes) != record_.name) {
      return Differs("its local header has another name");
    }
    if (field(6, 2) != record_.flags || field(8, 2) != record_.method) {
      return Differs("its local header has other flags or another method");
    }
    *begin = at + kZipLocalBytes + name_bytes + extra_bytes;
    absl::string_view zip64;
    if (!ReadZipExtra(
            bytes_.substr(at + kZipLocalBytes + name_bytes, extra_bytes),
            &zip64)) {
      return Differs("its local header has extra fields that torch's lack");
    }
    if (record_.compressed_bytes > limit_ - *begin) return OutOfRange("it");
    const bool later = (record_.flags & kZipHasDescriptor) != 0;
    if (!SizesAgree(field(14, 4), field(18, 4), field(22, 4), zip64, later)) {
      return Differs("its local header has other sizes or another checksum");
    }
    const int64_t end = *begin + record_.compressed_bytes;
    return later ? CheckDescriptor(end) : absl::StatusOr<int64_t>(end);
  }

 private:
  // With a descriptor the local header may leave all three at zero.
  bool SizesAgree(uint64_t crc, uint64_t compressed, uint64_t size,
                  absl::string_view zip64, bool later) const {
    if (!zip64.empty()) {
      if (zip64.size() != 16) return false;
      // Some Pythons leave the sizes where they were, too.
      const uint64_t size64 = LittleEndian(zip64, 0, 8);
      const uint64_t compressed64 = LittleEndian(zip64, 8, 8);
      const bool moved = size == 0xffffffff && compressed == 0xffffffff;
      if (!moved && (size != size64 || compressed != compressed64)) {
        return false;
      }
      size = size64;
      compressed = compressed64;
    }
    if (later && crc == 0 && compressed == 0 && size == 0) return true;
    return crc == record_.crc32 &&
           compressed == static_cast<uint64_t>(record_.compressed_bytes) &&
           size == static_cast<uint64_t>(record_.size_bytes);
  }

  // Mark, checksum and both sizes, of 4 bytes each or, in ZIP64, of 8.
  absl::StatusOr<int64_t> CheckDescriptor(int64_t at) const {
    for (const int width : {4, 8}) {
      const int64_t length = 8 + 2 * width;
      if (length > limit_ - at) break;
      if (LittleEndian(bytes_, at, 4) == 0x08074b50 &&
          LittleEndian(bytes_, at + 4, 4) == record_.crc32 &&
          LittleEndian(bytes_, at + 8, width) ==
              static_cast<uint64_t>(record_.compressed_bytes) &&
          LittleEndian(bytes_, at + 8 + width, width) ==
              static_cast<uint64_t>(record_.size_bytes)) {
        return at + length;
      }
    }
    return Differs("the descriptor after it is missing or differs");
  }

  absl::Status Differs(absl::string_view what) const {
    return Error("ZIP_HEADERS_DIFFER", what);
  }
  absl::Status OutOfRange(absl::string_view what) const {
    return Error("ZIP_OUT_OF_RANGE",
                 absl::StrCat(what, " passes offset ", limit_,
                              ", where the directory begins"));
  }
  absl::Status Error(absl::string_view reason, absl::string_view what) const {
    return ZipError(source_, reason, record_.name, record_.header_offset, what);
  }

  const absl::string_view bytes_;
  const absl::string_view source_;
  const int64_t limit_;
  const ZipRecord& record_;
};

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::FromBytes(std::string bytes,
                                                 absl::string_view source,
                                                 const ZipLimits& limits) {
  if (static_cast<int64_t>(bytes.size()) > limits.max_file_bytes) {
    return ZipError(source, "ZIP_FILE_TOO_LARGE", "", 0,
                    absl::StrCat(bytes.size(), " bytes; the limit is ",
                                 limits.max_file_bytes));
  }
  ZipArchive archive;
  archive.source_ = std::string(source);
  archive.bytes_ = std::make_shared<const std::string>(std::move(bytes));
  const absl::string_view all = *archive.bytes_;
  ASSIGN_OR_RETURN(const ZipDirectoryPlace place,
                   FindZipDirectory(all, source, limits));
  ASSIGN_OR_RETURN(std::vector<ZipRecord> records,
                   ReadZipDirectory(all, source, place, limits.layout));
  std::stable_sort(records.begin(), records.end(),
                   [](const ZipRecord& a, const ZipRecord& b) {
                     return a.header_offset < b.header_offset;
                   });
  int64_t end = 0;
  for (const ZipRecord& record : records) {
    const auto error = [&](absl::string_view reason, absl::string_view what) {
      return ZipError(source, reason, record.name, record.header_offset, what);
    };
    if (archive.entries_.count(record.name) > 0) {
      return error("ZIP_DUPLICATE_ENTRY", "occurs twice");
    }
    if (record.header_offset != end) {
      return error(record.header_offset < end ? "ZIP_OVERLAP" : "ZIP_HOLE",
                   absl::StrCat("the entry before it ends at ", end));
    }
    const size_t slash = record.name.find('/');
    if (limits.layout == ZipLayout::kTorch) {
      const std::string root = record.name.substr(0, slash);
      if (slash == std::string::npos || (end > 0 && root != archive.root_)) {
        return error("ZIP_BAD_NAME", "is not in the one folder of the archive");
      }
      archive.root_ = root;
    } else if (slash != std::string::npos) {
      return error("ZIP_BAD_NAME", "lies in a folder; numpy makes none");
    }
    ZipEntry entry;
    ASSIGN_OR_RETURN(end, LocalEntry(all, source, place.begin_bytes, record)
                              .Check(&entry.begin_bytes));
    entry.header_offset = record.header_offset;
    entry.size_bytes = record.compressed_bytes;
    entry.full_bytes = record.size_bytes;
    entry.crc32 = record.crc32;
    entry.deflated = record.method == kZipDeflated;
    archive.entries_[record.name] = entry;
  }
  if (end != place.begin_bytes) {
    return ZipError(source, "ZIP_HOLE", "", end,
                    "bytes between the last entry and the directory");
  }
  return archive;
}

absl::StatusOr<ZipArchive> ZipArchive::FromFile(const std::string& path,
                                                const ZipLimits& limits) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, limits.max_file_bytes));
  return FromBytes(std::move(bytes), path, limits);
}

absl::StatusOr<absl::string_view> ZipArchive::Read(
    const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return MakeError(absl::StatusCode::kNotFound, "ZIP_NO_ENTRY",
                     absl::StrCat(source_, ": no entry \"", name, "\""));
  }
  const ZipEntry& entry = found->second;
  if (entry.deflated) {
    return ZipError(source_, "ZIP_COMPRESSED", name, entry.header_offset,
                    "is compressed; torch stores its data");
  }
  const absl::string_view content =
      absl::string_view(*bytes_).substr(entry.begin_bytes, entry.size_bytes);
  if (Crc32(content) != entry.crc32) {
    return ZipError(source_, "ZIP_BAD_CRC", name, entry.header_offset,
                    "its bytes do not match its checksum: copy it again");
  }
  return content;
}

absl::StatusOr<std::string> ZipArchive::ReadInflated(const std::string& name,
                                                     int64_t max_bytes) const {
  const auto found = entries_.find(name);
  const bool there = found != entries_.end();
  if (there && found->second.full_bytes > max_bytes) {
    return ZipError(source_, "ZIP_ENTRY_TOO_LARGE", name,
                    found->second.header_offset,
                    absl::StrCat("has ", found->second.full_bytes,
                                 " bytes; the limit is ", max_bytes));
  }
  if (!there || !found->second.deflated) {
    ASSIGN_OR_RETURN(const absl::string_view content, Read(name));
    return std::string(content);
  }
  const ZipEntry& entry = found->second;
  const std::optional<std::string> content = Inflate(
      absl::string_view(*bytes_).substr(entry.begin_bytes, entry.size_bytes),
      entry.full_bytes);
  if (!content) {
    return ZipError(source_, "ZIP_BAD_DEFLATE", name, entry.header_offset,
                    "its compressed bytes do not give what it claims");
  }
  if (Crc32(*content) != entry.crc32) {
    return ZipError(source_, "ZIP_BAD_CRC", name, entry.header_offset,
                    "its bytes do not match its checksum: copy it again");
  }
  return *content;
}

}  // namespace promptd::weights
