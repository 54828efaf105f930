#include "weights/digest_record.h"

#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/sha256.h"
#include "nlohmann/json.hpp"

namespace promptd::weights {
namespace {

constexpr int64_t kMaxRecordBytes = 64 << 10;
constexpr absl::Duration kLeastAge = absl::Seconds(2);

std::string PathOf(const std::string& folder) {
  return absl::StrCat(folder, "/", kDigestRecordFile);
}

std::string MarkOf(const struct stat& info) {
  return absl::StrCat(info.st_dev, " ", info.st_ino, " ", info.st_size, " ",
                      absl::ToUnixNanos(absl::TimeFromTimespec(info.st_mtim)),
                      " ",
                      absl::ToUnixNanos(absl::TimeFromTimespec(info.st_ctim)));
}

}  // namespace

std::vector<std::string> FileMarks(const std::vector<std::string>& paths) {
  std::vector<std::string> marks;
  for (const std::string& path : paths) {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return {};
    marks.push_back(MarkOf(info));
  }
  return marks;
}

std::optional<std::string> RecordedDigest(
    const std::string& folder, const std::vector<std::string>& marks) {
  const auto bytes = ReadFile(PathOf(folder), kMaxRecordBytes);
  if (!bytes.ok() || marks.empty()) return std::nullopt;
  const auto json = nlohmann::json::parse(*bytes, nullptr, false);
  if (!json.is_object() || json.value("marks", nlohmann::json()) != marks) {
    return std::nullopt;
  }
  const auto digest = json.find("digest");
  if (digest == json.end() || !digest->is_string()) return std::nullopt;
  std::string text = digest->get<std::string>();
  if (!IsSha256Hex(text)) return std::nullopt;
  return text;
}

bool RecordDigest(const std::string& folder, const std::string& digest,
                  const std::vector<std::string>& paths,
                  const std::vector<std::string>& marks, absl::Time now) {
  for (const std::string& path : paths) {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0 ||
        now - absl::TimeFromTimespec(info.st_ctim) < kLeastAge) {
      return false;
    }
  }
  if (marks.empty() || FileMarks(paths) != marks) return false;
  const nlohmann::json json = {{"digest", digest}, {"marks", marks}};
  return WriteFileAtomically(PathOf(folder), json.dump() + "\n").ok();
}

void ForgetDigest(const std::string& folder) {
  ::unlink(PathOf(folder).c_str());
}

}  // namespace promptd::weights
