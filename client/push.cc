#include "client/push.h"

#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/error_report.h"
#include "client/local_dataset.h"
#include "client/progress.h"
#include "client/text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "promptd/v1/dataset.grpc.pb.h"

namespace promptd::client {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr int64_t kMaxFileBytes = 256 << 20;
constexpr size_t kMaxListed = 10;

struct Announced {
  std::string push_id;
  std::set<std::string> missing;
};

v1::Split ToProto(datasets::Split split) {
  switch (split) {
    case datasets::Split::kTrain:
      return v1::SPLIT_TRAIN;
    case datasets::Split::kVal:
      return v1::SPLIT_VAL;
    case datasets::Split::kTest:
      return v1::SPLIT_TEST;
  }
  return v1::SPLIT_UNSPECIFIED;
}

template <typename Stream>
void WriteManifest(const datasets::Manifest& manifest, Stream& stream) {
  v1::PushDatasetRequest request;
  auto* header = request.mutable_header();
  header->set_name(manifest.name);
  for (const std::string& name : manifest.class_names) {
    header->add_class_names(name);
  }
  header->set_item_count(static_cast<int64_t>(manifest.items.size()));
  if (!stream.Write(request)) return;
  for (const datasets::Item& item : manifest.items) {
    auto* out = request.mutable_item();
    out->set_path(item.path);
    out->set_digest(item.digest);
    out->set_class_index(item.class_index);
    out->set_split(ToProto(item.split));
    if (!stream.Write(request)) return;
  }
  stream.WritesDone();
}

// The manifest goes out on a thread of its own: the server may answer while it
// still reads, and neither side may wait for the other.
absl::StatusOr<Announced> Announce(Session& session,
                                   const datasets::Manifest& manifest) {
  const auto context = session.api.StreamContext();
  const auto stream = v1::DatasetService::Stub(session.api.channel())
                          .PushDataset(context.get());
  std::thread writer([&] { WriteManifest(manifest, *stream); });
  Announced announced;
  v1::PushDatasetResponse response;
  while (stream->Read(&response)) {
    if (response.has_missing_digest()) {
      announced.missing.insert(response.missing_digest());
    } else if (response.has_result()) {
      announced.push_id = response.result().push_id();
    }
  }
  writer.join();
  const grpc::Status status = stream->Finish();
  if (!status.ok()) return session.api.Error(status);
  if (announced.push_id.empty()) {
    return MakeError(absl::StatusCode::kInternal, "NO_PUSH_ID",
                     "the server ended the manifest without a push id");
  }
  return announced;
}

absl::StatusOr<std::string> ReadItem(const datasets::FolderDataset& local,
                                     const datasets::Item& item) {
  const datasets::ImageSource& source = local.source_of_digest.at(item.digest);
  ASSIGN_OR_RETURN(std::string bytes,
                   datasets::ReadImageSource(source, kMaxFileBytes));
  if (Sha256Hex(bytes) != item.digest) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "FILE_CHANGED",
                     absl::StrCat(source.file,
                                  " changed while it was pushed: push "
                                  "the folder again"));
  }
  return bytes;
}

// False when the stream broke; Finish() has the reason.
template <typename Writer>
bool WriteImage(const std::string& bytes, const std::string& push_id,
                Writer& writer) {
  size_t offset = 0;
  do {
    v1::UploadImagesRequest request;
    request.set_push_id(push_id);
    request.set_chunk(bytes.substr(offset, kChunkBytes));
    offset += request.chunk().size();
    request.set_last(offset == bytes.size());
    if (!writer.Write(request)) return false;
  } while (offset < bytes.size());
  return true;
}

absl::StatusOr<v1::UploadImagesResponse> Upload(
    Session& session, const datasets::FolderDataset& local,
    const Announced& announced, int64_t* sent_bytes) {
  const auto context = session.api.StreamContext();
  v1::UploadImagesResponse response;
  const auto writer = v1::DatasetService::Stub(session.api.channel())
                          .UploadImages(context.get(), &response);
  Progress progress(session.console, session.clock);
  std::set<std::string> sent;
  const absl::Time start = session.clock.Now();
  for (const datasets::Item& item : local.manifest.items) {
    if (announced.missing.count(item.digest) == 0) continue;
    if (!sent.insert(item.digest).second) continue;
    const absl::StatusOr<std::string> bytes = ReadItem(local, item);
    if (!bytes.ok()) {
      context->TryCancel();
      writer->Finish();
      return bytes.status();
    }
    if (!WriteImage(*bytes, announced.push_id, *writer)) break;
    *sent_bytes += static_cast<int64_t>(bytes->size());
    const double seconds =
        absl::ToDoubleSeconds(session.clock.Now() - start) + 1e-3;
    progress.Update(
        "upload",
        static_cast<double>(sent.size()) /
            static_cast<double>(announced.missing.size()),
        absl::StrCat(Bytes(*sent_bytes), "  ",
                     Bytes(static_cast<int64_t>(*sent_bytes / seconds)), "/s"));
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return session.api.Error(status);
  return response;
}

// Takes the rejected images out of the manifest, by path and reason.
std::vector<datasets::SkippedFile> DropRejected(
    const v1::UploadImagesResponse& response, datasets::FolderDataset* local) {
  std::map<std::string, const v1::UploadImagesResponse::Rejected*> reasons;
  for (const auto& rejected : response.rejected()) {
    reasons[rejected.digest()] = &rejected;
  }
  std::vector<datasets::SkippedFile> dropped;
  std::vector<datasets::Item> kept;
  for (datasets::Item& item : local->manifest.items) {
    const auto reason = reasons.find(item.digest);
    if (reason == reasons.end()) {
      kept.push_back(std::move(item));
    } else {
      dropped.push_back(
          {item.path, reason->second->reason(), reason->second->message()});
    }
  }
  local->manifest.items = std::move(kept);
  return dropped;
}

void ReportSkipped(Session& session,
                   const std::vector<datasets::SkippedFile>& files,
                   absl::string_view what) {
  if (files.empty()) return;
  session.console.Warn(absl::StrCat(files.size(), " ", what, ":"));
  const bool all = session.console.options().verbose;
  for (size_t i = 0; i < files.size(); ++i) {
    if (i == kMaxListed && !all) {
      session.console.Warn(
          absl::StrCat("  and ", files.size() - i, " more: see --verbose"));
      return;
    }
    session.console.Warn(absl::StrCat("  ", Printable(files[i].path), ": ",
                                      Printable(files[i].message), " (",
                                      Printable(files[i].reason), ")"));
  }
}

std::string Summary(const datasets::Manifest& manifest) {
  int64_t counts[3] = {0, 0, 0};
  for (const datasets::Item& item : manifest.items) {
    ++counts[static_cast<int>(item.split)];
  }
  return absl::StrCat(manifest.class_names.size(), " classes, train ",
                      counts[0], "  val ", counts[1], "  test ", counts[2]);
}

absl::Status Refused(const std::vector<datasets::SkippedFile>& rejected) {
  std::vector<FieldViolation> violations;
  for (const datasets::SkippedFile& file : rejected) {
    if (violations.size() == kMaxListed) {
      violations.push_back(
          {"images", absl::StrCat("and more, ", rejected.size(), " in all")});
      break;
    }
    violations.push_back(
        {file.path, absl::StrCat("refused by the server: ", file.message)});
  }
  return InvalidFields("IMAGES_REFUSED", violations);
}

}  // namespace

absl::StatusOr<PushOutcome> PushDataset(Session& session,
                                        datasets::FolderDataset local,
                                        OnRefusal on_refusal) {
  PushOutcome outcome;
  ASSIGN_OR_RETURN(Announced announced, Announce(session, local.manifest));
  if (!announced.missing.empty()) {
    ASSIGN_OR_RETURN(
        const v1::UploadImagesResponse response,
        Upload(session, local, announced, &outcome.uploaded_bytes));
    outcome.uploaded_images = response.stored_images();
    outcome.rejected = DropRejected(response, &local);
    if (!outcome.rejected.empty()) {
      if (on_refusal == OnRefusal::kFail) return Refused(outcome.rejected);
      ASSIGN_OR_RETURN(announced, Announce(session, local.manifest));
    }
  }
  v1::CommitDatasetRequest commit;
  commit.set_push_id(announced.push_id);
  ASSIGN_OR_RETURN(
      outcome.dataset,
      session.api.Call(&v1::DatasetService::Stub::CommitDataset, commit));
  return outcome;
}

absl::StatusOr<PushOutcome> PushRead(Session& session,
                                     datasets::FolderDataset local,
                                     const std::string& from,
                                     OnRefusal on_refusal) {
  const std::string dataset = local.manifest.name;
  session.console.Note(absl::StrCat("scan     ", Printable(from), "  ",
                                    Summary(local.manifest)));
  ReportSkipped(session, local.report.skipped, "files skipped");
  absl::StatusOr<PushOutcome> outcome =
      PushDataset(session, std::move(local), on_refusal);
  if (!outcome.ok()) {
    return WithWhat(outcome.status(),
                    absl::StrCat("cannot push \"", dataset, "\""));
  }
  ReportSkipped(session, outcome->rejected, "files refused by the server");
  session.console.Note(absl::StrCat(
      "pushed   ", dataset, "  ", ShortDigest(outcome->dataset.digest()), "  ",
      outcome->uploaded_images, " images sent (",
      Bytes(outcome->uploaded_bytes), ")"));
  return outcome;
}

absl::StatusOr<PushOutcome> PushFolder(Session& session,
                                       const std::string& folder,
                                       const std::string& name) {
  absl::StatusOr<datasets::FolderDataset> local =
      ReadLocalDataset(session, folder, name);
  if (!local.ok()) {
    return WithWhat(local.status(), absl::StrCat("cannot read ", folder));
  }
  return PushRead(session, *std::move(local), folder, OnRefusal::kLeaveOut);
}

}  // namespace promptd::client
