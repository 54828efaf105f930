// Closes server reflection. gRPC's library adds reflection to every server of
// a program that links it; a server that others can reach should not list its
// services.
#pragma once

#include "grpcpp/server_builder.h"

namespace promptd::server {

// Calls of grpc.reflection end at once as CANCELLED.
void CloseReflection(grpc::ServerBuilder* builder);

}  // namespace promptd::server
