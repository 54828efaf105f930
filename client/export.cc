#include "client/export.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "weights/context_file.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr char kManifestFile[] = "manifest.json";

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error && fs::is_directory(folder, error)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, "FOLDER_UNUSABLE",
                   absl::StrCat("cannot make the folder ", folder.string(),
                                ": choose another one with --out"));
}

absl::Status CheckFree(const fs::path& path, bool force) {
  std::error_code ignored;
  if (force || !fs::exists(fs::symlink_status(path, ignored))) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kAlreadyExists, "FILE_EXISTS",
                   absl::StrCat(path.string(),
                                " exists: choose another folder, or "
                                "overwrite it with --force"));
}

// Below the folder that is exported to.
fs::path ContextPath(ExportFormat format, const v1::PromptVersion& record) {
  switch (format) {
    case ExportFormat::kSafetensors:
      return "context.safetensors";
    case ExportFormat::kNpz:
      return "context.npz";
    case ExportFormat::kCoop:
      break;
  }
  return fs::path("prompt_learner") /
         absl::StrCat("model.pth.tar-", record.spec().epochs());
}

// The stored bytes in the format asked for.
absl::StatusOr<std::string> Converted(const std::string& stored,
                                      ExportFormat format,
                                      const v1::PromptVersion& record) {
  if (format == ExportFormat::kSafetensors) return stored;
  ASSIGN_OR_RETURN(const weights::ContextFile file,
                   weights::ReadContext(stored, "the stored context"));
  return format == ExportFormat::kNpz
             ? weights::WriteContextNpz(file.context)
             : weights::WriteCoopCheckpoint(file.context,
                                            record.spec().epochs());
}

void Report(Session& session, const v1::PromptVersion& record,
            const fs::path& context, const fs::path& manifest) {
  if (session.console.json()) {
    session.console.Json({{"task", record.task()},
                          {"version", record.version()},
                          {"context", context.string()},
                          {"manifest", manifest.string()},
                          {"context_digest", record.context_digest()}});
    return;
  }
  session.console.out() << context.string() << "\n"
                        << manifest.string() << "\n";
  session.console.Note(absl::StrCat("exported ", Printable(record.task()), ":",
                                    record.version(), "  ",
                                    ShortDigest(record.context_digest())));
}

}  // namespace

absl::Status ExportVersion(Session& session, const ExportOptions& options) {
  v1::GetVersionRequest get;
  get.set_task(options.task);
  get.set_version(options.version);
  ASSIGN_OR_RETURN(
      const v1::PromptVersion record,
      session.api.Call(session.api.prompts(), &PromptStub::GetVersion, get));
  const fs::path folder(options.folder);
  const fs::path context = folder / ContextPath(options.format, record);
  const fs::path manifest = folder / kManifestFile;
  RETURN_IF_ERROR(MakeFolder(context.parent_path()));
  RETURN_IF_ERROR(CheckFree(context, options.force));
  RETURN_IF_ERROR(CheckFree(manifest, options.force));
  v1::ExportVersionRequest request;
  request.set_task(options.task);
  request.set_version(options.version);
  ASSIGN_OR_RETURN(const v1::ExportVersionResponse files,
                   session.api.Call(session.api.prompts(),
                                    &PromptStub::ExportVersion, request));
  if (Sha256Hex(files.context()) != record.context_digest()) {
    return MakeError(
        absl::StatusCode::kDataLoss, "EXPORT_CORRUPT",
        absl::StrCat("the context of ", options.task, ":", options.version,
                     " does not match its digest: export it "
                     "again"));
  }
  ASSIGN_OR_RETURN(const std::string bytes,
                   Converted(files.context(), options.format, record));
  RETURN_IF_ERROR(WriteFileAtomically(context.string(), bytes));
  RETURN_IF_ERROR(
      WriteFileAtomically(manifest.string(), files.manifest_json()));
  Report(session, record, context, manifest);
  return absl::OkStatus();
}

}  // namespace promptd::client
