// Jobs, specifications, evaluations and events between their rooms' structs
// and promptd.v1. Pure functions.
#pragma once

#include "absl/status/status.h"
#include "jobs/job.h"
#include "promptd/v1/training.pb.h"
#include "worker/control.h"
#include "worker/evaluation.h"
#include "worker/training_spec.h"

namespace promptd::server {

void ToProto(const worker::TrainingSpec& spec, v1::TrainingSpec* out);
void ToProto(const worker::EvaluationSpec& spec, v1::EvaluationSpec* out);
void ToProto(const worker::Evaluation& evaluation, v1::Evaluation* out);
void ToProto(const worker::Progress& progress, v1::JobProgress* out);
v1::JobState ToProto(jobs::JobState state);
void ToProto(const jobs::Checkpoint& checkpoint, v1::Checkpoint* out);

// INTERNAL when a stored JSON text cannot be read.
absl::Status ToProto(const jobs::Job& job, v1::TrainingJob* out);
absl::Status ToProto(const jobs::JobEvent& event, v1::JobEvent* out);

}  // namespace promptd::server
