// A strict reader of ZIP and ZIP64 archives as torch.save, torch.jit.save and
// numpy.savez write them: entries one after the other, torch's stored without
// compression. No torch.
//
//   ASSIGN_OR_RETURN(const ZipArchive archive,
//                    ZipArchive::FromFile("ViT-B-32.pt"));
//   ASSIGN_OR_RETURN(const absl::string_view pickle,
//                    archive.Read(archive.root() + "/data.pkl"));
//
// Every byte of an accepted archive belongs to exactly one entry or to the
// directory, so that no two readers can see different contents in it. Nothing
// of torch's is ever inflated: the deflated sources that TorchScript keeps in
// its code/ folder are listed and cannot be read.
//
// The file is read into memory, not mapped: the checks hold for the bytes that
// are used later, and a file that shrinks meanwhile cannot end the process
// with SIGBUS. The price is memory of the size of the file while it is read.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::weights {

struct ZipEntry {
  int64_t header_offset = 0;  // of the local header, from the file's start
  int64_t begin_bytes = 0;    // of the content
  int64_t size_bytes = 0;     // as stored
  int64_t full_bytes = 0;     // once inflated, as the archive claims
  uint32_t crc32 = 0;
  bool deflated = false;
};

// Who wrote the archive.
enum class ZipLayout {
  kTorch,  // all in one folder; only TorchScript's sources are deflated
  kNpz,    // numpy.savez: no folder; any entry may be deflated
};

struct ZipLimits {
  int64_t max_file_bytes = int64_t{8} << 30;
  int max_entries = 20000;
  ZipLayout layout = ZipLayout::kTorch;
};

// Immutable, hence thread-safe.
class ZipArchive {
 public:
  // `source` names the bytes in errors, which also name entry and offset.
  // INVALID_ARGUMENT, reason by rule: ZIP_FILE_TOO_LARGE, ZIP_NOT_AN_ARCHIVE,
  // ZIP_TRUNCATED, ZIP_TRAILING_BYTES, ZIP_BAD_DIRECTORY,
  // ZIP_TOO_MANY_ENTRIES, ZIP_OUT_OF_RANGE, ZIP_BAD_NAME,
  // ZIP_DUPLICATE_ENTRY, ZIP_ENCRYPTED, ZIP_COMPRESSED, ZIP_UNSUPPORTED,
  // ZIP_HEADERS_DIFFER, ZIP_OVERLAP, ZIP_HOLE.
  static absl::StatusOr<ZipArchive> FromBytes(std::string bytes,
                                              absl::string_view source,
                                              const ZipLimits& limits = {});
  // The same, and ReadFile's errors.
  static absl::StatusOr<ZipArchive> FromFile(const std::string& path,
                                             const ZipLimits& limits = {});

  const std::map<std::string, ZipEntry>& entries() const { return entries_; }
  // The one folder that holds every entry of torch's, without a slash.
  const std::string& root() const { return root_; }
  const std::string& source() const { return source_; }

  // A stored entry's content, its checksum verified; valid as long as
  // bytes() is held. NOT_FOUND (ZIP_NO_ENTRY); INVALID_ARGUMENT
  // (ZIP_COMPRESSED, ZIP_BAD_CRC).
  absl::StatusOr<absl::string_view> Read(const std::string& name) const;
  // The same, inflated where needed, if it has at most `max_bytes` then. Also
  // INVALID_ARGUMENT (ZIP_ENTRY_TOO_LARGE, ZIP_BAD_DEFLATE).
  absl::StatusOr<std::string> ReadInflated(const std::string& name,
                                           int64_t max_bytes) const;

  // The whole file; contents that Read gave live as long as this is held.
  const std::shared_ptr<const std::string>& bytes() const { return bytes_; }

 private:
  ZipArchive() = default;

  std::string source_;
  std::string root_;
  std::shared_ptr<const std::string> bytes_;
  std::map<std::string, ZipEntry> entries_;
};

}  // namespace promptd::weights
