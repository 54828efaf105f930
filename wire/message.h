// Protobuf messages as the byte buffers that MethodTable moves.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/error.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/byte_buffer.h"

namespace promptd::wire {

template <typename Message>
grpc::ByteBuffer Pack(const Message& message) {
  grpc::ByteBuffer buffer;
  bool own = false;
  grpc::GenericSerialize<grpc::ProtoBufferWriter, Message>(message, &buffer,
                                                           &own);
  return buffer;
}

// INVALID_ARGUMENT (BAD_WIRE_MESSAGE).
template <typename Message>
absl::Status Unpack(grpc::ByteBuffer* buffer, Message* message) {
  const grpc::Status status =
      grpc::GenericDeserialize<grpc::ProtoBufferReader, Message>(buffer,
                                                                 message);
  if (status.ok()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_WIRE_MESSAGE",
                   "the message cannot be parsed: run the same release of "
                   "promptd and promptd-worker");
}

}  // namespace promptd::wire
