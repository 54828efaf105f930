// Jobs and their results as text.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/session.h"
#include "google/protobuf/timestamp.pb.h"
#include "promptd/v1/training.pb.h"

namespace promptd::client {

absl::Time ToTime(const google::protobuf::Timestamp& timestamp);

// The task whose version the job makes or scores.
const std::string& TaskOf(const v1::TrainingJob& job);

// "queued", "running", ...
std::string StateText(v1::JobState state);

// "epoch 31/50", "encode", "-".
std::string ProgressText(const v1::TrainingJob& job);

// How long the job ran; zero before it started, up to `now` while it runs.
absl::Duration RunTime(const v1::TrainingJob& job, absl::Time now);

// "test 94.6% (zero-shot 71.3%, +23.3)": the baseline stands beside every
// result; ", epoch 37 (val 91.2%)" follows where validation picked the epoch.
// "not evaluated" of an empty one.
std::string ResultText(const v1::Evaluation& evaluation);

std::string JobTable(const std::vector<v1::TrainingJob>& jobs, absl::Time now);

std::string CheckpointTable(const v1::ListCheckpointsResponse& reply,
                            absl::Time now);

// "12  2026-03-01T12:00:00Z  running  epoch 3/50  loss 0.312  acc 81.0%"
std::string EventLine(const v1::JobEvent& event);

// Everything about one job, with the per-class results when it has some.
std::string JobText(const v1::TrainingJob& job, absl::Time now);

// "done     pets:3   test 94.6% (zero-shot 71.3%, +23.3)   41 s" of a job that
// succeeded.
std::string FinishedLine(const v1::TrainingJob& job, absl::Time now);

// Per-class and per-template tables; nothing of an empty one.
std::string EvaluationText(const v1::Evaluation& evaluation);

// The hyper-parameters that a specification holds, one a pair.
std::vector<std::pair<std::string, std::string>> SpecPairs(
    const v1::TrainingSpec& spec);

}  // namespace promptd::client
