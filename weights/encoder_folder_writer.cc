#include "weights/encoder_folder_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/id.h"
#include "common/status_macros.h"
#include "weights/encoder_folder.h"

namespace promptd::weights {
namespace {

absl::Status WriteError(const std::string& path, int error) {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return MakeError(absl::StatusCode::kResourceExhausted, "DISK_FULL",
                     absl::StrCat("no space left to write ", path,
                                  ": free some disk space and try again"));
  }
  return MakeError(
      absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
      absl::StrCat("cannot write ", path, ": ", std::strerror(error)));
}

absl::Status Exists(const std::string& path) {
  return MakeError(absl::StatusCode::kAlreadyExists, "ENCODER_EXISTS",
                   absl::StrCat(path,
                                " is there already: choose another name "
                                "or remove it first"));
}

// A new file that is written piece by piece and synced at the end.
class NewFile {
 public:
  explicit NewFile(std::string path)
      : path_(std::move(path)),
        fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                   0644)) {
    if (fd_ < 0) status_ = WriteError(path_, errno);
  }
  ~NewFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void Write(absl::string_view bytes) {
    while (status_.ok() && !bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written >= 0) {
        bytes.remove_prefix(static_cast<size_t>(written));
      } else if (errno != EINTR) {
        status_ = WriteError(path_, errno);
      }
    }
  }

  absl::Status Sync() {
    if (status_.ok() && ::fsync(fd_) != 0) status_ = WriteError(path_, errno);
    return status_;
  }

 private:
  const std::string path_;
  const int fd_;
  absl::Status status_;
};

absl::Status WriteFiles(const std::string& folder, const EncoderConfig& config,
                        const SafetensorsPrefix& prefix,
                        absl::string_view merges) {
  NewFile weights(absl::StrCat(folder, "/", kEncoderWeightsFile));
  weights.Write(prefix.bytes);
  for (const RawTensor* tensor : prefix.order) weights.Write(tensor->bytes);
  RETURN_IF_ERROR(weights.Sync());
  NewFile config_file(absl::StrCat(folder, "/", kEncoderConfigFile));
  config_file.Write(WriteEncoderConfig(config));
  RETURN_IF_ERROR(config_file.Sync());
  NewFile merges_file(absl::StrCat(folder, "/", kEncoderMergesFile));
  merges_file.Write(merges);
  RETURN_IF_ERROR(merges_file.Sync());
  return SyncFolder(folder);
}

// Not over a folder that another import finished meanwhile. File systems that
// do not know the flag replace an empty folder at most.
absl::Status MoveIntoPlace(const std::string& temporary,
                           const std::string& path) {
  int failed = ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(),
                           RENAME_NOREPLACE);
  if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) {
    failed = ::rename(temporary.c_str(), path.c_str());
  }
  if (failed == 0) return absl::OkStatus();
  return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
             ? Exists(path)
             : WriteError(path, errno);
}

}  // namespace

absl::Status WriteEncoderFolder(const std::string& path,
                                const EncoderConfig& config,
                                const RawTensors& tensors,
                                absl::string_view merges) {
  const std::filesystem::path target(path);
  if (!IsEncoderName(target.filename().string())) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ENCODER_NAME",
                     absl::StrCat("the folder ", path,
                                  " names its encoder: "
                                  "use 1 to 64 of a-z 0-9 . _ -"));
  }
  ASSIGN_OR_RETURN(const SafetensorsPrefix prefix,
                   MakeSafetensorsPrefix(tensors, {{"format", "pt"}}));
  std::error_code ignored;
  if (std::filesystem::exists(target, ignored)) return Exists(path);
  const std::string parent = target.parent_path().string();
  const std::string temporary =
      absl::StrCat(parent.empty() ? "." : parent, "/.import-", NewUuid());
  if (::mkdir(temporary.c_str(), 0755) != 0) return WriteError(path, errno);
  absl::Status status = WriteFiles(temporary, config, prefix, merges);
  if (status.ok()) status = MoveIntoPlace(temporary, path);
  if (!status.ok()) {
    std::filesystem::remove_all(temporary, ignored);
    return status;
  }
  return SyncFolder(parent.empty() ? "." : parent);
}

}  // namespace promptd::weights
