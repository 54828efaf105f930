#include "server/reflection_gate.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_interceptor.h"

namespace promptd::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

class CancelCall : public Interceptor {
 public:
  explicit CancelCall(ServerRpcInfo* info) : info_(info) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      info_->server_context()->TryCancel();
    }
    methods->Proceed();
  }

 private:
  ServerRpcInfo* const info_;
};

class Gate : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    if (!absl::StartsWith(info->method(), "/grpc.reflection.")) return nullptr;
    return new CancelCall(info);
  }
};

}  // namespace

void CloseReflection(grpc::ServerBuilder* builder) {
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      creators;
  creators.push_back(std::make_unique<Gate>());
  builder->experimental().SetInterceptorCreators(std::move(creators));
}

}  // namespace promptd::server
