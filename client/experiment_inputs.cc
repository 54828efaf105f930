#include "client/experiment_inputs.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/progress.h"
#include "client/push.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/folder_reader.h"
#include "promptd/v1/dataset.grpc.pb.h"
#include "promptd/v1/encoder.grpc.pb.h"

namespace promptd::client {
namespace {

using experiments::Benchmark;
using experiments::BenchmarkDataset;
using experiments::Held;
using experiments::HeldDataset;
using experiments::Plan;

constexpr size_t kNameDigits = 8;
constexpr size_t kMaxNameBytes = 63;

class Inputs {
 public:
  Inputs(Session& session, const Benchmark& benchmark, const Plan& plan)
      : session_(session), benchmark_(benchmark), plan_(plan) {}

  absl::StatusOr<Held> Hold() {
    RETURN_IF_ERROR(FindEncoders());
    RETURN_IF_ERROR(FindRegistered());
    RETURN_IF_ERROR(ReadFolders());
    // Nothing is pushed before everything is known to fit.
    RETURN_IF_ERROR(Check());
    for (auto& [name, local] : folders_) {
      RETURN_IF_ERROR(Push(name, std::move(local)));
    }
    return std::move(held_);
  }

 private:
  absl::Status FindEncoders() {
    ASSIGN_OR_RETURN(const v1::ListEncodersResponse reply,
                     session_.api.Call(&v1::EncoderService::Stub::ListEncoders,
                                       v1::ListEncodersRequest()));
    std::map<std::string, std::string> digests;
    for (const v1::Encoder& encoder : reply.encoders()) {
      digests[encoder.name()] = encoder.digest();
    }
    for (const std::string& name : plan_.encoders) {
      const auto found = digests.find(name);
      if (found == digests.end()) {
        problems_.push_back(LackingEncoder(name, digests));
      } else {
        held_.encoder_digests[name] = found->second;
      }
    }
    return absl::OkStatus();
  }

  FieldViolation LackingEncoder(
      const std::string& name,
      const std::map<std::string, std::string>& digests) const {
    std::string field = "encoders", folder;
    for (const auto& encoder : benchmark_.encoders) {
      if (encoder.name != name) continue;
      field = encoder.field;
      folder = encoder.folder;
    }
    std::vector<std::string> names;
    names.reserve(digests.size());
    for (const auto& [held, digest] : digests) names.push_back(held);
    return {field,
            absl::StrCat(
                "the server has no encoder \"", name, "\", only ",
                absl::StrJoin(names, ", "), ": ",
                folder.empty()
                    ? absl::StrCat("get it with `promptctl encoder import FILE "
                                   "--name ",
                                   name, "`, start")
                    : "start",
                " promptd with `--encoder ", folder.empty() ? "DIR" : folder,
                "` too, or choose others with --encoders")};
  }

  absl::Status FindRegistered() {
    for (const auto& planned : plan_.datasets) {
      const BenchmarkDataset& dataset = *benchmark_.Find(planned.name);
      if (dataset.dataset.empty()) continue;
      absl::StatusOr<v1::Dataset> found = Get(dataset.dataset);
      if (absl::IsNotFound(found.status())) {
        problems_.push_back(
            {absl::StrCat(dataset.field, ".dataset"),
             absl::StrCat("the server has no dataset \"", dataset.dataset,
                          "\": bring it with `promptctl dataset import` or "
                          "`promptctl dataset push`")});
        continue;
      }
      RETURN_IF_ERROR(found.status());
      Keep(planned.name, *found);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<v1::Dataset> Get(const std::string& name) {
    v1::GetDatasetRequest request;
    request.set_name(name);
    return session_.api.Call(&v1::DatasetService::Stub::GetDataset, request);
  }

  void Keep(const std::string& name, const v1::Dataset& dataset) {
    held_.datasets[name] = HeldDataset{
        dataset.name(),
        dataset.digest(),
        {dataset.class_names().begin(), dataset.class_names().end()}};
    classes_[name] = held_.datasets[name].class_names;
  }

  absl::Status ReadFolders() {
    Progress progress(session_.console, session_.clock);
    double done = 0;
    for (const auto& planned : plan_.datasets) {
      const BenchmarkDataset& dataset = *benchmark_.Find(planned.name);
      if (dataset.folder.empty()) continue;
      datasets::FolderOptions options;
      options.name = planned.name;
      options.decode = false;  // the server looks inside what it is sent
      progress.Update("scan", done / static_cast<double>(plan_.datasets.size()),
                      planned.name);
      ASSIGN_OR_RETURN(datasets::FolderDataset local,
                       datasets::ReadDatasetFolder(dataset.folder, options));
      for (const datasets::SkippedFile& file : local.report.skipped) {
        session_.console.Warn(absl::StrCat(dataset.folder, "/", file.path,
                                           " is left out: ", file.message));
      }
      classes_[planned.name] = local.manifest.class_names;
      folders_.emplace(planned.name, std::move(local));
      ++done;
    }
    return absl::OkStatus();
  }

  absl::Status Check() {
    const absl::Status classes =
        experiments::CheckClasses(benchmark_, classes_);
    for (const FieldViolation& problem : ErrorFields(classes)) {
      problems_.push_back(problem);
    }
    if (problems_.empty()) return absl::OkStatus();
    return Annotate(InvalidFields("BAD_BENCHMARK", problems_), benchmark_.file);
  }

  absl::Status Push(const std::string& name, datasets::FolderDataset local) {
    const std::string digest = datasets::ManifestDigest(local.manifest);
    for (const std::string& candidate :
         {name, absl::StrCat(name.substr(0, kMaxNameBytes - kNameDigits - 1),
                             "-", digest.substr(0, kNameDigits))}) {
      const absl::StatusOr<v1::Dataset> found = Get(candidate);
      if (found.ok() && found->digest() == digest) {
        Keep(name, *found);
        return absl::OkStatus();
      }
      if (found.ok()) continue;  // other images have this name
      if (!absl::IsNotFound(found.status())) return found.status();
      local.manifest.name = candidate;
      session_.console.Note(absl::StrCat("push     ", candidate));
      ASSIGN_OR_RETURN(
          const PushOutcome pushed,
          PushDataset(session_, std::move(local), OnRefusal::kFail));
      Keep(name, pushed.dataset);
      return absl::OkStatus();
    }
    return MakeError(
        absl::StatusCode::kAlreadyExists, "DATASET_EXISTS",
        absl::StrCat("the server holds other images under \"", name,
                     "\" and under the name with their digest: delete one of "
                     "them with `promptctl dataset delete`"));
  }

  Session& session_;
  const Benchmark& benchmark_;
  const Plan& plan_;
  Held held_;
  std::map<std::string, std::vector<std::string>> classes_;
  std::map<std::string, datasets::FolderDataset> folders_;
  std::vector<FieldViolation> problems_;
};

}  // namespace

absl::StatusOr<experiments::Held> HoldInputs(
    Session& session, const experiments::Benchmark& benchmark,
    const experiments::Plan& plan) {
  return Inputs(session, benchmark, plan).Hold();
}

}  // namespace promptd::client
