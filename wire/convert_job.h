// What crosses worker/control.h, between plain structs and
// promptd.worker.v1. Pure functions; errors are INVALID_ARGUMENT
// (BAD_WIRE_MESSAGE) when a message was not made here.
#pragma once

#include "absl/status/statusor.h"
#include "promptd/worker/v1/control.pb.h"
#include "wire/wire_status.h"
#include "worker/control.h"

namespace promptd::wire {

void ToProto(const worker::LeasedJob& job, pb::LeasedJob* out);
absl::StatusOr<worker::LeasedJob> FromProto(const pb::LeasedJob& job);

void ToProto(const worker::Progress& progress, pb::Progress* out);
worker::Progress FromProto(const pb::Progress& progress);

void ToProto(const worker::FinishedPrompt& prompt, pb::FinishedPrompt* out);
absl::StatusOr<worker::FinishedPrompt> FromProto(
    const pb::FinishedPrompt& prompt);

pb::Directive ToProto(worker::Directive directive);
absl::StatusOr<worker::Directive> FromProto(pb::Directive directive);

}  // namespace promptd::wire
