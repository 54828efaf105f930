#include "client/image_batches.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/progress.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "promptd/v1/server.grpc.pb.h"

namespace promptd::client {
namespace {

constexpr int64_t kFallbackMessageBytes = 4 << 20;

absl::StatusOr<std::string> ReadImage(const std::string& file,
                                      int64_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (std::filesystem::is_directory(status)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "IS_A_FOLDER",
                     absl::StrCat(file, " is a folder: name its images, e.g. ",
                                  file, "/*.jpg"));
  }
  if (status.type() == std::filesystem::file_type::not_found &&
      file.find_first_of("*?[") != std::string::npos) {
    return MakeError(absl::StatusCode::kNotFound, "FILE_NOT_FOUND",
                     absl::StrCat("no file matches \"", file, "\""));
  }
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(file, max_bytes));
  if (bytes.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "IMAGE_EMPTY",
                     absl::StrCat(file, " is empty"));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<v1::Limits> GetLimits(Session& session) {
  ASSIGN_OR_RETURN(const v1::GetServerInfoResponse server,
                   session.api.Call(&v1::ServerService::Stub::GetServerInfo,
                                    v1::GetServerInfoRequest()));
  return server.limits();
}

int64_t RoomPerCall(const v1::Limits& limits) {
  return (limits.max_message_bytes() > kMessageOverhead
              ? limits.max_message_bytes()
              : kFallbackMessageBytes) -
         kMessageOverhead;
}

absl::Status SendImages(
    Session& session, absl::string_view label, const v1::Limits& limits,
    const std::vector<std::string>& files,
    absl::FunctionRef<void(size_t file, const absl::Status&)> refuse,
    absl::FunctionRef<absl::Status(const ImageBatch&)> send) {
  const int64_t room = RoomPerCall(limits);
  const size_t per_call =
      static_cast<size_t>(std::max(1, limits.max_images_per_call()));
  const int64_t max_bytes = limits.max_image_bytes() > 0
                                ? std::min(limits.max_image_bytes(), room)
                                : room;
  ImageBatch batch;
  Progress progress(session.console, session.clock);
  for (size_t i = 0; i < files.size(); ++i) {
    absl::StatusOr<std::string> image = ReadImage(files[i], max_bytes);
    if (!image.ok()) {
      refuse(i, image.status());
      continue;
    }
    const auto bytes = static_cast<int64_t>(image->size());
    if (batch.files.size() == per_call || batch.bytes + bytes > room) {
      RETURN_IF_ERROR(send(batch));
      batch = ImageBatch();
      progress.Update(
          label, static_cast<double>(i) / static_cast<double>(files.size()),
          absl::StrCat(i, " of ", files.size()));
    }
    batch.files.push_back(i);
    batch.images.push_back(*std::move(image));
    batch.bytes += bytes;
  }
  return batch.files.empty() ? absl::OkStatus() : send(batch);
}

}  // namespace promptd::client
