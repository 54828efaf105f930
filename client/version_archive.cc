#include "client/version_archive.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "client/prompt_view.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "promptd/v1/archive.grpc.pb.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxArchiveBytes = int64_t{128} << 20;
constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr char kFirstMember[] = "index.json";

}  // namespace

bool IsVersionArchive(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  // With the zero that ends the name in a header.
  std::string begin(sizeof(kFirstMember), '?');
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  return file.good() && begin == std::string(kFirstMember, begin.size());
}

absl::Status ExportVersionArchive(Session& session,
                                  const TaskSelector& selector,
                                  const std::string& path, bool force) {
  std::error_code ignored;
  if (!force && fs::exists(fs::symlink_status(path, ignored))) {
    return MakeError(absl::StatusCode::kAlreadyExists, "FILE_EXISTS",
                     absl::StrCat(path,
                                  " exists: choose another name, or "
                                  "overwrite it with --force"));
  }
  v1::ExportArchiveRequest request;
  request.set_task(selector.task);
  request.set_version(selector.version);
  const auto context = session.api.StreamContext();
  const auto reader = v1::ArchiveService::Stub(session.api.channel())
                          .ExportArchive(context.get(), request);
  std::string bytes;
  v1::ExportArchiveResponse response;
  while (reader->Read(&response)) bytes += response.chunk();
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return session.api.Error(status);
  RETURN_IF_ERROR(WriteFileAtomically(path, bytes));
  if (session.console.json()) {
    session.console.Json({{"task", selector.task},
                          {"version", selector.version},
                          {"archive", path},
                          {"bytes", bytes.size()}});
  } else {
    session.console.out() << path << "\n";
    session.console.Note(
        absl::StrCat("exported ", ToString(selector), "  ",
                     Bytes(static_cast<int64_t>(bytes.size()))));
  }
  return absl::OkStatus();
}

absl::Status ImportVersionArchive(Session& session, const std::string& path,
                                  const std::string& task) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArchiveBytes));
  const auto context = session.api.StreamContext();
  v1::ImportArchiveResponse response;
  const auto writer = v1::ArchiveService::Stub(session.api.channel())
                          .ImportArchive(context.get(), &response);
  v1::ImportArchiveRequest request;
  request.set_task(task);
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    request.set_chunk(bytes.substr(at, kChunkBytes));
    if (!writer->Write(request)) break;  // Finish says why
    request.clear_task();
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return session.api.Error(status);
  if (session.console.json()) {
    session.console.Json(ToJson(response));
    return absl::OkStatus();
  }
  session.console.out() << VersionTable({response.version()},
                                        session.clock.Now());
  if (response.existed()) {
    session.console.Note("note     the task had this version already");
  }
  return absl::OkStatus();
}

}  // namespace promptd::client
