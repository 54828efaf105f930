// The steps of the demo, each shown as the command that a user would type.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/bundle.h"
#include "client/session.h"

namespace promptd::client {

// What the trainings of a demo came to.
struct DemoScore {
  double zero_shot = 0;  // of the best template
  double learned = 0;
  absl::Duration job_time;
};

// The mean over several seeds; `scores` must not be empty.
DemoScore MeanScore(const std::vector<DemoScore>& scores);

// The standard error of the gain's mean; 0 for fewer than two scores.
double GainStandardError(const std::vector<DemoScore>& scores);

// "demo: OK zero-shot 61.2% learned 79.8% (+18.6) job 12.3s".
std::string DemoOkLine(const DemoScore& score);

// "$ promptctl <command>" on the message stream.
void ShowCommand(Session& session, absl::string_view command);

absl::Status PushStep(Session& session, const BundledTask& task);

absl::StatusOr<DemoScore> TrainStep(Session& session, const BundledTask& task,
                                    int shots, int64_t seed);

// Versions and aliases; FAILED_PRECONDITION (DEMO_ALIAS) unless production
// points at version 1.
absl::Status RegistryStep(Session& session, const std::string& task);

// Classifies one test image of up to six classes beside the truth.
absl::Status ClassifyStep(Session& session, const BundledTask& task);

// A few lines of /metrics; NOT_FOUND (DEMO_METRICS) when they are missing.
absl::Status MetricsStep(Session& session, const std::string& http_address);

}  // namespace promptd::client
