#include "weights/zip_writer.h"

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "weights/crc32.h"
#include "weights/little_endian.h"
#include "weights/zip_directory.h"

namespace promptd::weights {
namespace {

constexpr int64_t kExtraHeadBytes = 4;
constexpr uint64_t kVersion = 20;  // 2.0, what everybody reads
constexpr uint64_t kUtf8Names = 0x0800;
constexpr uint64_t kFirstDay = 0x0021;  // 1 January 1980

}  // namespace

void ZipWriter::Add(absl::string_view name, absl::string_view content) {
  const auto offset = static_cast<int64_t>(bytes_.size());
  int64_t padding = 0;
  if (alignment_ > 1) {
    const int64_t begin = offset + kZipLocalBytes +
                          static_cast<int64_t>(name.size()) + kExtraHeadBytes;
    padding = (alignment_ - begin % alignment_) % alignment_;
  }
  std::string extra;
  if (alignment_ > 1) {
    extra = absl::StrCat("FB", ToLittleEndian(padding, 2),
                         std::string(static_cast<size_t>(padding), 'Z'));
  }
  const uint64_t size = content.size();
  // Shared by both headers: from the version that is needed to the names'
  // lengths.
  const std::string middle = absl::StrCat(
      ToLittleEndian(kVersion, 2), ToLittleEndian(kUtf8Names, 2),
      ToLittleEndian(0, 2), ToLittleEndian(0, 2), ToLittleEndian(kFirstDay, 2),
      ToLittleEndian(Crc32(content), 4), ToLittleEndian(size, 4),
      ToLittleEndian(size, 4), ToLittleEndian(name.size(), 2));
  absl::StrAppend(&bytes_, "PK\3\4", middle, ToLittleEndian(extra.size(), 2),
                  name, extra, content);
  absl::StrAppend(&directory_, "PK\1\2", ToLittleEndian(kVersion, 2), middle,
                  ToLittleEndian(0, 2), ToLittleEndian(0, 8),
                  ToLittleEndian(0, 2),
                  ToLittleEndian(static_cast<uint64_t>(offset), 4), name);
  ++entries_;
}

std::string ZipWriter::Finish() {
  const uint64_t begin = bytes_.size(), size = directory_.size();
  PROMPTD_CHECK(begin + size < 0xffffffff && entries_ < 0xffff);
  const uint64_t count = static_cast<uint64_t>(entries_);
  absl::StrAppend(&bytes_, directory_, "PK\5\6", ToLittleEndian(0, 4),
                  ToLittleEndian(count, 2), ToLittleEndian(count, 2),
                  ToLittleEndian(size, 4), ToLittleEndian(begin, 4),
                  ToLittleEndian(0, 2));
  return std::move(bytes_);
}

}  // namespace promptd::weights
