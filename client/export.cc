#include "client/export.h"

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "weights/context_file.h"

namespace promptd::client {
namespace {

namespace fs = std::filesystem;

constexpr char kManifestFile[] = "manifest.json";
constexpr char kParametersFile[] = "parameters.safetensors";
constexpr char kHeadFile[] = "head.safetensors";

struct File {
  fs::path path;
  std::string bytes;
};

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

// What is written of a version, the manifest last.
absl::StatusOr<std::vector<File>> Contents(
    const ExportOptions& options, const v1::PromptVersion& record,
    const v1::ExportVersionResponse& answer) {
  const fs::path folder(options.folder);
  std::vector<File> files;
  if (answer.head().empty()) {
    ASSIGN_OR_RETURN(const std::string bytes,
                     Converted(answer.context(), options.format, record));
    files.push_back({folder / ContextPath(options.format, record), bytes});
  } else if (options.format != ExportFormat::kSafetensors) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "NO_CONTEXT",
        absl::StrCat("version ", options.task, ":", options.version,
                     " is of method ", record.spec().method(),
                     ", which learns no context: leave --format out to get "
                     "what it learned as safetensors"));
  } else {
    if (!answer.context().empty()) {
      files.push_back({folder / kParametersFile, answer.context()});
    }
    files.push_back({folder / kHeadFile, answer.head()});
  }
  files.push_back({folder / kManifestFile, answer.manifest_json()});
  return files;
}

void Report(Session& session, const v1::PromptVersion& record,
            const std::vector<File>& files) {
  if (session.console.json()) {
    nlohmann::json json = {{"task", record.task()},
                           {"version", record.version()},
                           {"context_digest", record.context_digest()}};
    // By what they are: "context", "parameters", "head", "manifest".
    for (const File& file : files) {
      const std::string stem = file.path.stem().string();
      json[stem == "parameters" || stem == "head" || stem == "manifest"
               ? stem
               : "context"] = file.path.string();
    }
    session.console.Json(json);
    return;
  }
  for (const File& file : files) {
    session.console.out() << file.path.string() << "\n";
  }
  session.console.Note(absl::StrCat("exported ", Printable(record.task()), ":",
                                    record.version(), "  ",
                                    ShortDigest(record.digest())));
}

}  // namespace

absl::Status ExportVersion(Session& session, const ExportOptions& options) {
  v1::GetVersionRequest get;
  get.set_task(options.task);
  get.set_version(options.version);
  ASSIGN_OR_RETURN(const v1::PromptVersion record,
                   session.api.Call(&v1::PromptService::Stub::GetVersion, get));
  v1::ExportVersionRequest request;
  request.set_task(options.task);
  request.set_version(options.version);
  ASSIGN_OR_RETURN(
      const v1::ExportVersionResponse answer,
      session.api.Call(&v1::PromptService::Stub::ExportVersion, request));
  const std::string digest =
      answer.context().empty() ? "" : Sha256Hex(answer.context());
  if (digest != record.context_digest()) {
    return MakeError(
        absl::StatusCode::kDataLoss, "EXPORT_CORRUPT",
        absl::StrCat("the context of ", options.task, ":", options.version,
                     " does not match its digest: export it "
                     "again"));
  }
  ASSIGN_OR_RETURN(const std::vector<File> files,
                   Contents(options, record, answer));
  for (const File& file : files) {
    RETURN_IF_ERROR(MakeFolder(file.path.parent_path()));
    RETURN_IF_ERROR(CheckFree(file.path, options.force));
  }
  for (const File& file : files) {
    RETURN_IF_ERROR(WriteFileAtomically(file.path.string(), file.bytes));
  }
  Report(session, record, files);
  return absl::OkStatus();
}

}  // namespace promptd::client
