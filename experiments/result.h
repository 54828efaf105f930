// The results of an experiment, one file a member, in one folder:
//
//   plan.json             what the experiment consists of
//   members/<key>.json    a member's result, written once it is complete
//
// Every file is written whole or not at all. Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "experiments/plan.h"
#include "nlohmann/json.hpp"
#include "promptd/v1/training.pb.h"

namespace promptd::experiments {

// A member's score on one dataset, or why there is none.
struct Score {
  std::string dataset;  // of the benchmark
  int64_t job_id = 0;
  double seconds = 0;     // that the job ran
  v1::Evaluation result;  // of a job that succeeded
  std::string reason;     // stable; empty when it succeeded
  std::string message;
};

struct MemberResult {
  std::string key;
  std::string fingerprint;  // see resolve.h
  int attempt = 1;
  std::string task;       // on the server
  int64_t version = 0;    // 0: the training failed
  v1::TrainingSpec spec;  // as the server resolved it
  // The first is the training's own, on the dataset that it learned from.
  std::vector<Score> scores;

  bool failed() const;
  // "REASON: message" of the first score that failed.
  std::string Failure() const;
  double Seconds() const;
};

nlohmann::json ToJson(const MemberResult& result);
// INVALID_ARGUMENT (BAD_RESULT_FILE).
absl::StatusOr<MemberResult> MemberResultFromJson(const std::string& text);

nlohmann::json ToJson(const Plan& plan);
// The plan without its specifications. INVALID_ARGUMENT (BAD_RESULT_FILE).
absl::StatusOr<Plan> PlanFromJson(const std::string& text);

class ResultFolder {
 public:
  explicit ResultFolder(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  // Makes the folder and writes plan.json. `fingerprints` by member.
  absl::Status WritePlan(
      const Plan& plan, const std::map<std::string, std::string>& fingerprints);
  struct StoredPlan {
    Plan plan;
    std::map<std::string, std::string> fingerprints;
  };
  // NOT_FOUND (NO_RESULTS) when nothing was run into this folder.
  absl::StatusOr<StoredPlan> ReadPlan() const;

  absl::Status Write(const MemberResult& result);
  // The results that answer the plan: of its members, with these fingerprints.
  // `*others` counts the files of members whose question has changed.
  absl::StatusOr<std::map<std::string, MemberResult>> Read(
      const std::map<std::string, std::string>& fingerprints,
      int64_t* others) const;

 private:
  std::string FileOf(const std::string& key) const;

  const std::string path_;
};

}  // namespace promptd::experiments
