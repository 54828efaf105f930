// absl::Status across a connection between our own processes: code, message,
// reason and field violations arrive as they were sent. What a client may read
// of it is decided where clients are answered (server/grpc_status.h).
// Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "promptd/worker/v1/executor.pb.h"

namespace promptd::wire {

namespace pb = ::promptd::worker::v1;

// The metadata of one call that our channels and listeners accept: room for an
// error with many violations.
inline constexpr int kMaxMetadataBytes = 128 << 10;

// Messages above 8 KiB, and violations above 40 KiB together, are cut.
void ToProto(const absl::Status& status, pb::ItemStatus* out);
absl::Status FromProto(const pb::ItemStatus& status);

// The same as the status of an RPC.
grpc::Status ToGrpc(const absl::Status& status);
// A status that gRPC itself made gets a reason: UNAVAILABLE (PEER_UNREACHABLE)
// names `peer`, e.g. "worker gpu-1"; DEADLINE_EXCEEDED (DEADLINE_EXPIRED);
// CANCELLED (CANCELLED); else its code.
absl::Status FromGrpc(const grpc::Status& status, const std::string& peer);

// Whether it is one that FromGrpc made of a lost connection: the call may not
// have arrived, and was not answered.
bool IsUnreachable(const absl::Status& status);

}  // namespace promptd::wire
