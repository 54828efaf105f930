#include "experiments/report.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "experiments/plots.h"
#include "experiments/tables.h"

namespace promptd::experiments {
namespace {

namespace fs = std::filesystem;

std::string CsvCell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string Number(std::optional<double> value) {
  return value ? absl::StrFormat("%.6f", *value) : "";
}

std::vector<std::string> CsvRow(const Plan& plan, const Member& member,
                                const MemberResult& result,
                                const Score& score) {
  const PlanDataset* source = plan.FindDataset(member.dataset);
  const std::vector<std::string> unseen =
      source == nullptr ? std::vector<std::string>() : source->unseen_classes;
  std::vector<std::string> row = {member.key,
                                  plan.experiment,
                                  member.dataset,
                                  score.dataset,
                                  member.encoder,
                                  member.method,
                                  absl::StrCat(member.shots),
                                  absl::StrCat(member.seed),
                                  score.reason.empty() ? "succeeded" : "failed",
                                  score.reason};
  const bool good = score.reason.empty();
  for (const Measure measure :
       {Measure::kAccuracy, Measure::kBaseline, Measure::kGain,
        Measure::kMacroF1, Measure::kEce, Measure::kSeenAccuracy,
        Measure::kSeenGain, Measure::kUnseenAccuracy, Measure::kUnseenGain}) {
    row.push_back(
        Number(good ? Measured(score.result, unseen, measure) : std::nullopt));
  }
  row.push_back(good ? absl::StrCat(score.result.images()) : "");
  row.push_back(score.result.zero_shot_template());
  row.push_back(absl::StrFormat("%.3f", score.seconds));
  row.push_back(absl::StrCat(score.job_id));
  row.push_back(result.task);
  row.push_back(absl::StrCat(result.version));
  return row;
}

// Figures of an earlier report that this one has not.
void RemoveOldFigures(const fs::path& folder, const std::string& experiment,
                      const std::vector<std::string>& names) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool figure =
        absl::StartsWith(name, experiment) &&
        (absl::EndsWith(name, ".svg") || absl::EndsWith(name, ".png"));
    if (figure && std::find(names.begin(), names.end(), name) == names.end()) {
      fs::remove(entry.path(), ignored);
    }
  }
}

}  // namespace

std::string ResultsCsv(const Study& study) {
  std::string out =
      "member,experiment,dataset,scored_on,encoder,method,shots,seed,state,"
      "reason,accuracy,zero_shot_accuracy,gain,macro_f1,ece,seen_accuracy,"
      "seen_gain,unseen_accuracy,unseen_gain,images,zero_shot_template,"
      "seconds,job,task,version\n";
  for (const Member& member : study.plan().members) {
    const auto result = study.results().find(member.key);
    if (result == study.results().end()) continue;
    for (const Score& score : result->second.scores) {
      absl::StrAppend(
          &out,
          absl::StrJoin(CsvRow(study.plan(), member, result->second, score),
                        ",",
                        [](std::string* to, const std::string& cell) {
                          to->append(CsvCell(cell));
                        }),
          "\n");
    }
  }
  return out;
}

nlohmann::json ResultsJson(const Study& study) {
  nlohmann::json results = nlohmann::json::array();
  for (const Member& member : study.plan().members) {
    const auto result = study.results().find(member.key);
    if (result != study.results().end()) {
      results.push_back(ToJson(result->second));
    }
  }
  return {{"plan", ToJson(study.plan())}, {"results", results}};
}

absl::StatusOr<Study> ReadStudy(const ResultFolder& folder) {
  ASSIGN_OR_RETURN(ResultFolder::StoredPlan stored, folder.ReadPlan());
  int64_t others = 0;
  ASSIGN_OR_RETURN(auto results, folder.Read(stored.fingerprints, &others));
  return Study(std::move(stored.plan), std::move(results));
}

absl::StatusOr<std::vector<std::string>> WriteReport(
    const Study& study, const ResultFolder& folder) {
  const fs::path at(folder.path());
  std::vector<std::string> names, pictures;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    names.push_back(name);
    return WriteFileAtomically((at / name).string(), bytes);
  };
  for (const NamedFigure& figure : FiguresOf(study)) {
    ASSIGN_OR_RETURN(const std::string svg, FigureSvg(figure.figure));
    ASSIGN_OR_RETURN(const std::string png, FigurePng(figure.figure));
    RETURN_IF_ERROR(write(absl::StrCat(figure.name, ".svg"), svg));
    RETURN_IF_ERROR(write(absl::StrCat(figure.name, ".png"), png));
    if (!figure.detail) pictures.push_back(absl::StrCat(figure.name, ".svg"));
  }
  RETURN_IF_ERROR(write("tables.md", TablesMarkdown(study, pictures)));
  RETURN_IF_ERROR(write("results.csv", ResultsCsv(study)));
  RETURN_IF_ERROR(
      write("results.json", absl::StrCat(ResultsJson(study).dump(1), "\n")));
  RemoveOldFigures(at, study.plan().experiment, names);
  return names;
}

}  // namespace promptd::experiments
