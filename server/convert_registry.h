// Datasets, tasks, versions, aliases and encoders as promptd.v1 messages.
// Pure functions.
#pragma once

#include "absl/status/status.h"
#include "promptd/v1/dataset.pb.h"
#include "promptd/v1/encoder.pb.h"
#include "promptd/v1/prompt.pb.h"
#include "registry/records.h"
#include "worker/executor.h"

namespace promptd::server {

void ToProto(const registry::Dataset& dataset, v1::Dataset* out);
void ToProto(const registry::Task& task, v1::Task* out);
void ToProto(const registry::Alias& alias, v1::Alias* out);
void ToProto(const registry::AliasMove& move, v1::AliasMove* out);
void ToProto(const worker::EncoderDescription& encoder, v1::Encoder* out);
// All but the encoder's description.
void ToProto(const worker::EncoderVerification& verification,
             v1::VerifyEncoderResponse* out);

// INTERNAL when a stored JSON text cannot be read.
absl::Status ToProto(const registry::EvaluationRecord& evaluation,
                     v1::StoredEvaluation* out);
absl::Status ToProto(const registry::PromptVersion& version,
                     v1::PromptVersion* out);

}  // namespace promptd::server
