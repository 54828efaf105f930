#include "experiments/result.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"

namespace promptd::experiments {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFileBytes = 256 << 20;
constexpr char kPlanFile[] = "plan.json";
constexpr char kMembers[] = "members";

absl::Status MakeFolder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnavailable, "FILE_WRITE_FAILED",
                   absl::StrCat("cannot make the folder ", path.string(), ": ",
                                error.message()));
}

}  // namespace

bool MemberResult::failed() const { return !Failure().empty(); }

std::string MemberResult::Failure() const {
  for (const Score& score : scores) {
    if (!score.reason.empty()) {
      return absl::StrCat(score.reason, ": ", score.message);
    }
  }
  return "";
}

double MemberResult::Seconds() const {
  double sum = 0;
  for (const Score& score : scores) sum += score.seconds;
  return sum;
}

absl::Status ResultFolder::WritePlan(
    const Plan& plan, const std::map<std::string, std::string>& fingerprints) {
  RETURN_IF_ERROR(MakeFolder(fs::path(path_) / kMembers));
  nlohmann::json json = ToJson(plan);
  json["fingerprints"] = fingerprints;
  return WriteFileAtomically((fs::path(path_) / kPlanFile).string(),
                             absl::StrCat(json.dump(1), "\n"));
}

absl::StatusOr<ResultFolder::StoredPlan> ResultFolder::ReadPlan() const {
  const std::string file = (fs::path(path_) / kPlanFile).string();
  const absl::StatusOr<std::string> text = ReadFile(file, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) {
    return MakeError(absl::StatusCode::kNotFound, "NO_RESULTS",
                     absl::StrCat("there are no results in ", path_,
                                  ": make them with `promptctl experiment "
                                  "run`, or say with --out where they are"));
  }
  RETURN_IF_ERROR(text.status());
  StoredPlan stored;
  absl::StatusOr<Plan> plan = PlanFromJson(*text);
  if (!plan.ok()) return Annotate(plan.status(), file);
  stored.plan = *std::move(plan);
  // It was read above: it is JSON.
  const nlohmann::json json = nlohmann::json::parse(*text);
  if (json.contains("fingerprints") && json["fingerprints"].is_object()) {
    for (const auto& [key, value] : json["fingerprints"].items()) {
      if (value.is_string()) stored.fingerprints[key] = value;
    }
  }
  return stored;
}

std::string ResultFolder::FileOf(const std::string& key) const {
  return (fs::path(path_) / kMembers / absl::StrCat(key, ".json")).string();
}

absl::Status ResultFolder::Write(const MemberResult& result) {
  return WriteFileAtomically(FileOf(result.key),
                             absl::StrCat(ToJson(result).dump(1), "\n"));
}

absl::StatusOr<std::map<std::string, MemberResult>> ResultFolder::Read(
    const std::map<std::string, std::string>& fingerprints,
    int64_t* others) const {
  std::map<std::string, MemberResult> results;
  *others = 0;
  for (const auto& [key, fingerprint] : fingerprints) {
    const std::string file = FileOf(key);
    const absl::StatusOr<std::string> text = ReadFile(file, kMaxFileBytes);
    if (absl::IsNotFound(text.status())) continue;
    RETURN_IF_ERROR(text.status());
    absl::StatusOr<MemberResult> result = MemberResultFromJson(*text);
    if (!result.ok()) {
      return Annotate(result.status(),
                      absl::StrCat(file, " (remove it to make it again)"));
    }
    if (result->fingerprint == fingerprint) {
      results[key] = *std::move(result);
    } else {
      ++*others;
    }
  }
  return results;
}

}  // namespace promptd::experiments
