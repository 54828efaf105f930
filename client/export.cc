#include "client/export.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr char kContextFile[] = "context.safetensors";
constexpr char kManifestFile[] = "manifest.json";

absl::Status CheckFree(const fs::path& folder, bool force) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder, error)) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "FOLDER_UNUSABLE",
                     absl::StrCat("cannot make the folder ", folder.string(),
                                  ": choose another one with --out"));
  }
  for (const char* name : {kContextFile, kManifestFile}) {
    std::error_code ignored;
    if (!force && fs::exists(fs::symlink_status(folder / name, ignored))) {
      return MakeError(absl::StatusCode::kAlreadyExists, "FILE_EXISTS",
                       absl::StrCat((folder / name).string(),
                                    " exists: choose another folder, or "
                                    "overwrite it with --force"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExportVersion(Session& session, const std::string& task,
                           int64_t version, const std::string& folder,
                           bool force) {
  v1::GetVersionRequest get;
  get.set_task(task);
  get.set_version(version);
  ASSIGN_OR_RETURN(
      const v1::PromptVersion record,
      session.api.Call(session.api.prompts(), &PromptStub::GetVersion, get));
  RETURN_IF_ERROR(CheckFree(folder, force));
  v1::ExportVersionRequest request;
  request.set_task(task);
  request.set_version(version);
  ASSIGN_OR_RETURN(const v1::ExportVersionResponse files,
                   session.api.Call(session.api.prompts(),
                                    &PromptStub::ExportVersion, request));
  if (Sha256Hex(files.context()) != record.context_digest()) {
    return MakeError(absl::StatusCode::kDataLoss, "EXPORT_CORRUPT",
                     absl::StrCat("the context of ", task, ":", version,
                                  " does not match its digest: export it "
                                  "again"));
  }
  const fs::path out(folder);
  RETURN_IF_ERROR(
      WriteFileAtomically((out / kContextFile).string(), files.context()));
  RETURN_IF_ERROR(WriteFileAtomically((out / kManifestFile).string(),
                                      files.manifest_json()));
  if (session.console.json()) {
    session.console.Json({{"task", task},
                          {"version", version},
                          {"context", (out / kContextFile).string()},
                          {"manifest", (out / kManifestFile).string()},
                          {"context_digest", record.context_digest()}});
  } else {
    session.console.out() << (out / kContextFile).string() << "\n"
                          << (out / kManifestFile).string() << "\n";
    session.console.Note(absl::StrCat("exported ", Printable(task), ":",
                                      version, "  ",
                                      ShortDigest(record.context_digest())));
  }
  return absl::OkStatus();
}

}  // namespace promptd::client
