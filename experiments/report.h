// What is made of the results in a folder: tables.md, results.csv,
// results.json, and every figure as SVG and PNG. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "experiments/result.h"
#include "experiments/study.h"

namespace promptd::experiments {

// One row a member and dataset that it is scored on: what it is, how it went.
std::string ResultsCsv(const Study& study);
// The plan and every result whole.
nlohmann::json ResultsJson(const Study& study);

// Reads the plan and the results of a folder. ResultFolder's errors.
absl::StatusOr<Study> ReadStudy(const ResultFolder& folder);

// Writes all files; their names. Figures of results that are no more are
// removed. WriteFileAtomically's errors and FigureSvg's.
absl::StatusOr<std::vector<std::string>> WriteReport(
    const Study& study, const ResultFolder& folder);

}  // namespace promptd::experiments
