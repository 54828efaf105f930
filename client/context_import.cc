#include "client/context_import.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/text.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "promptd/v1/training.grpc.pb.h"
#include "weights/context_file.h"
#include "weights/safetensors.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunkBytes = 1 << 20;
constexpr size_t kMaxEntries = 10'000;
constexpr size_t kListed = 20;

// By its name only: what is in it is seen when it is read.
bool LooksLikeContext(const std::string& name, std::optional<int> epoch) {
  if (epoch) return absl::EndsWith(name, absl::StrCat(".pth.tar-", *epoch));
  return absl::StrContains(name, ".pth.tar") || absl::EndsWith(name, ".npz") ||
         absl::EndsWith(name, ".npy") || absl::EndsWith(name, ".safetensors");
}

std::vector<std::string> ContextsBelow(const std::string& folder,
                                       std::optional<int> epoch) {
  std::vector<std::string> found;
  std::error_code error;
  size_t seen = 0;
  fs::recursive_directory_iterator entry(
      folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && entry != fs::recursive_directory_iterator() &&
         seen < kMaxEntries;
       entry.increment(error), ++seen) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored) &&
        LooksLikeContext(entry->path().filename().string(), epoch)) {
      found.push_back(entry->path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

void Tell(Session& session, const std::string& path,
          const weights::ContextFile& file) {
  std::string line =
      absl::StrCat("read     ", Printable(path), "   ", file.format, ", ",
                   absl::StrJoin(file.context.shape, " x "));
  if (file.epoch) absl::StrAppend(&line, ", epoch ", *file.epoch);
  if (file.validation_result) {
    absl::StrAppendFormat(&line, ", validation result %.1f",
                          *file.validation_result);
  }
  session.console.Note(line);
}

absl::StatusOr<v1::UploadContextResponse> Upload(Session& session,
                                                 const std::string& bytes) {
  const auto context = session.api.StreamContext();
  v1::UploadContextResponse response;
  const auto writer = v1::TrainingService::Stub(session.api.channel())
                          .UploadContext(context.get(), &response);
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    v1::UploadContextRequest request;
    request.set_chunk(bytes.substr(at, kChunkBytes));
    if (!writer->Write(request)) break;  // Finish says why
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return session.api.Error(status);
  return response;
}

}  // namespace

absl::StatusOr<std::string> FindContextFile(const std::string& path,
                                            std::optional<int> epoch) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return path;
  const std::vector<std::string> found = ContextsBelow(path, epoch);
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    return MakeError(
        absl::StatusCode::kNotFound, "CONTEXT_NOT_FOUND",
        absl::StrCat(path, " holds no ",
                     epoch ? absl::StrCat("model.pth.tar-", *epoch)
                           : "checkpoint (model.pth.tar-N), safetensors or "
                             "npz",
                     ": give the file itself"));
  }
  const auto end = found.begin() +
                   static_cast<std::ptrdiff_t>(std::min(found.size(), kListed));
  return MakeError(
      absl::StatusCode::kInvalidArgument, "SEVERAL_CONTEXTS",
      absl::StrCat(path, " holds ", found.size(), " files: give one of\n  ",
                   absl::StrJoin(found.begin(), end, "\n  "),
                   end == found.end() ? "" : "\n  ..."));
}

absl::StatusOr<std::string> SendContextFile(Session& session,
                                            const std::string& path,
                                            std::optional<int> epoch) {
  ASSIGN_OR_RETURN(const std::string name, FindContextFile(path, epoch));
  ASSIGN_OR_RETURN(const weights::ContextFile file,
                   weights::ReadContextFile(name));
  Tell(session, name, file);
  ASSIGN_OR_RETURN(
      const std::string bytes,
      weights::WriteSafetensors({{weights::kContextName, file.context}}));
  ASSIGN_OR_RETURN(const v1::UploadContextResponse sent,
                   Upload(session, bytes));
  return sent.digest();
}

}  // namespace promptd::client
