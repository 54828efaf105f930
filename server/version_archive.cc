#include "server/version_archive.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "server/grpc_status.h"
#include "server/plain_tar.h"

namespace promptd::server {
namespace {

using nlohmann::json;

constexpr char kIndexSchema[] = "promptd.archive.1";
constexpr char kManifestSchema[] = "promptd.version.1";
constexpr char kIndex[] = "index.json";
constexpr char kManifest[] = "manifest.json";
constexpr char kContext[] = "context.safetensors";
constexpr char kFeatures[] = "features.safetensors";
constexpr char kEvaluations[] = "evaluations.json";

absl::Status Bad(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ARCHIVE",
                   absl::StrCat("the archive ", what,
                                ": it is not one that promptd wrote, or it "
                                "was changed"));
}

absl::Status Corrupt(absl::string_view member) {
  return MakeError(absl::StatusCode::kDataLoss, "ARCHIVE_CORRUPT",
                   absl::StrCat("the bytes of ", member,
                                " in the archive do not match their digest: "
                                "copy or export it again"));
}

std::string EvaluationsJson(const VersionArchive& archive) {
  json all = json::array();
  for (const ArchivedEvaluation& evaluation : archive.evaluations) {
    all.push_back(
        {{"own", evaluation.own},
         {"dataset", evaluation.dataset},
         {"dataset_digest", evaluation.dataset_digest},
         {"result", json::parse(worker::EvaluationToJson(evaluation.result))}});
  }
  return all.dump();
}

absl::StatusOr<std::vector<ArchivedEvaluation>> ReadEvaluations(
    const std::string& text) {
  std::vector<ArchivedEvaluation> evaluations;
  try {
    const json all = json::parse(text);
    if (!all.is_array() || all.size() > kMaxArchivedEvaluations) {
      return Bad("has too many evaluations");
    }
    for (const json& item : all) {
      ArchivedEvaluation& evaluation = evaluations.emplace_back();
      evaluation.own = item.at("own").get<bool>();
      evaluation.dataset = item.at("dataset").get<std::string>();
      evaluation.dataset_digest = item.at("dataset_digest").get<std::string>();
      auto result = worker::EvaluationFromJson(item.at("result").dump());
      if (!result.ok()) return Bad("has an evaluation that cannot be read");
      evaluation.result = *std::move(result);
      if (evaluation.own && evaluations.size() > 1) {
        return Bad("has two evaluations of the version's own job");
      }
    }
  } catch (const json::exception&) {
    return Bad("has evaluations that cannot be read");
  }
  return evaluations;
}

// By name; the index must list exactly those that follow it, in their order.
absl::StatusOr<std::map<std::string, std::string>> CheckIndex(
    std::vector<TarMember> members) {
  std::map<std::string, std::string> by_name;
  try {
    if (members.empty() || members[0].name != kIndex) {
      return Bad("does not begin with index.json");
    }
    const json index = json::parse(members[0].bytes);
    if (index.at("schema") != kIndexSchema) return Bad("has another format");
    const json& listed = index.at("members");
    if (!listed.is_array() || listed.size() + 1 != members.size()) {
      return Bad("has other members than its index");
    }
    for (size_t i = 1; i < members.size(); ++i) {
      TarMember& member = members[i];
      if (listed[i - 1].at("name") != member.name) {
        return Bad("has other members than its index");
      }
      if (listed[i - 1].at("sha256") != Sha256Hex(member.bytes)) {
        return Corrupt(member.name);
      }
      if (!by_name.emplace(member.name, std::move(member.bytes)).second) {
        return Bad("has a member twice");
      }
    }
  } catch (const json::exception&) {
    return Bad("has an index that cannot be read");
  }
  return by_name;
}

// The member's bytes, which are taken out.
std::string Take(const char* name, std::map<std::string, std::string>* members,
                 bool* found) {
  const auto member = members->find(name);
  *found = member != members->end();
  if (!*found) return "";
  std::string bytes = std::move(member->second);
  members->erase(member);
  return bytes;
}

absl::StatusOr<ManifestContent> ParseManifest(const std::string& text) {
  ManifestContent content;
  try {
    const json manifest = json::parse(text);
    if (manifest.at("schema") != kManifestSchema) {
      return Bad("has a manifest of another format");
    }
    content.task = manifest.at("task").get<std::string>();
    content.class_names =
        manifest.at("class_names").get<std::vector<std::string>>();
    content.context_digest = manifest.at("context_digest").get<std::string>();
    content.head_digest = manifest.value("head_digest", std::string());
    content.dataset = manifest.at("dataset").get<std::string>();
    content.dataset_digest = manifest.at("dataset_digest").get<std::string>();
    content.encoder_digest = manifest.at("encoder_digest").get<std::string>();
    auto spec = worker::TrainingSpecFromJson(manifest.at("spec").dump());
    if (!spec.ok()) return Bad("has a specification that cannot be read");
    content.spec = *std::move(spec);
  } catch (const json::exception&) {
    return Bad("has a manifest that cannot be read");
  }
  return content;
}

}  // namespace

std::string WriteArchive(const VersionArchive& archive) {
  std::vector<TarMember> members = {{kIndex, ""},
                                    {kManifest, archive.manifest_json}};
  if (!archive.context.empty()) members.push_back({kContext, archive.context});
  members.push_back({kFeatures, archive.features});
  members.push_back({kEvaluations, EvaluationsJson(archive)});
  json listed = json::array();
  for (size_t i = 1; i < members.size(); ++i) {
    listed.push_back({{"name", members[i].name},
                      {"bytes", members[i].bytes.size()},
                      {"sha256", Sha256Hex(members[i].bytes)}});
  }
  members[0].bytes =
      json({{"schema", kIndexSchema}, {"members", listed}}).dump();
  return PackTar(members);
}

absl::StatusOr<VersionArchive> ReadArchive(absl::string_view tar) {
  ASSIGN_OR_RETURN(std::vector<TarMember> members, UnpackTar(tar));
  ASSIGN_OR_RETURN(auto by_name, CheckIndex(std::move(members)));
  VersionArchive archive;
  bool manifest = false;
  bool features = false;
  bool evaluations = false;
  bool context = false;
  archive.manifest_json = Take(kManifest, &by_name, &manifest);
  archive.features = Take(kFeatures, &by_name, &features);
  archive.context = Take(kContext, &by_name, &context);
  const std::string scored = Take(kEvaluations, &by_name, &evaluations);
  if (!manifest || !features || !evaluations) return Bad("lacks a member");
  if (!by_name.empty()) {
    return Bad(absl::StrCat("has the unknown member \"",
                            TruncateUtf8(by_name.begin()->first, 64), "\""));
  }
  ASSIGN_OR_RETURN(archive.evaluations, ReadEvaluations(scored));
  return archive;
}

absl::StatusOr<ManifestContent> ReadManifest(const VersionArchive& archive) {
  ASSIGN_OR_RETURN(ManifestContent content,
                   ParseManifest(archive.manifest_json));
  const std::string context =
      archive.context.empty() ? "" : Sha256Hex(archive.context);
  if (context != content.context_digest) return Corrupt(kContext);
  // A version has the digest of what it is.
  if (content.context_digest.empty() &&
      content.head_digest != Sha256Hex(archive.features)) {
    return Corrupt(kFeatures);
  }
  if (content.spec.encoder_digest != content.encoder_digest ||
      content.spec.dataset_digest != content.dataset_digest) {
    return Bad("has a manifest that contradicts itself");
  }
  return content;
}

}  // namespace promptd::server
