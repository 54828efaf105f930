// What crosses worker/executor.h, between plain structs and
// promptd.worker.v1. Deadlines and cancellation are the RPC's. Pure functions;
// errors are INVALID_ARGUMENT (BAD_WIRE_MESSAGE) when a message was not made
// here.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "promptd/worker/v1/executor.pb.h"
#include "wire/wire_status.h"
#include "worker/executor.h"

namespace promptd::wire {

void ToProto(const worker::EncoderDescription& encoder,
             pb::EncoderDescription* out);
worker::EncoderDescription FromProto(const pb::EncoderDescription& encoder);

void ToProto(const worker::ClassifyCall& call, pb::ClassifyRequest* out);
// Images, digests and pixels are borrowed from the request.
worker::ClassifyCall FromProto(const pb::ClassifyRequest& request);
void ToProto(const worker::ClassifyOutcome& outcome, pb::ClassifyResponse* out);
worker::ClassifyOutcome FromProto(const pb::ClassifyResponse& response);

void ToProto(const worker::EmbedTextsCall& call, pb::EmbedTextsRequest* out);
worker::EmbedTextsCall FromProto(const pb::EmbedTextsRequest& request);
void ToProto(const std::vector<worker::TextOutcome>& outcomes,
             pb::EmbedTextsResponse* out);
std::vector<worker::TextOutcome> FromProto(
    const pb::EmbedTextsResponse& response);

void ToProto(const worker::EncoderVerification& verification,
             pb::EncoderVerification* out);
worker::EncoderVerification FromProto(const pb::EncoderVerification& message);

void ToProto(const worker::InterpretCall& call, pb::InterpretRequest* out);
worker::InterpretCall FromProto(const pb::InterpretRequest& request);
void ToProto(const std::vector<worker::VectorWords>& vectors,
             pb::InterpretResponse* out);
std::vector<worker::VectorWords> FromProto(
    const pb::InterpretResponse& response);

void ToProto(const worker::PromptCheck& check, pb::PromptCheck* out);
worker::PromptCheck FromProto(const pb::PromptCheck& check);

}  // namespace promptd::wire
