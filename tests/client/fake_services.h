// The services of FakeServer, one instance each.
#pragma once

#include <memory>
#include <vector>

#include "grpcpp/impl/codegen/service_type.h"
#include "tests/client/fake_server.h"

namespace promptd::testing {

// Each borrows `state`, which outlives it.
std::unique_ptr<grpc::Service> MakeFakeDatasets(FakeState* state);
std::unique_ptr<grpc::Service> MakeFakeTraining(FakeState* state);

// All of them.
std::vector<std::unique_ptr<grpc::Service>> MakeFakeServices(FakeState* state);

}  // namespace promptd::testing
