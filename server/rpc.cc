#include "server/rpc.h"

#include <exception>
#include <utility>

#include "common/check.h"
#include "common/error.h"
#include "common/log.h"
#include "common/work_pool.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/support/server_callback.h"
#include "server/metrics.h"

namespace promptd::server {
namespace {

// Lives from the start of a unary call until gRPC is done with it.
class UnaryReactor : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryReactor(std::shared_ptr<Call> call) : call_(std::move(call)) {}

  void OnCancel() override { call_->MarkCancelled(); }
  void OnDone() override { delete this; }

 private:
  const std::shared_ptr<Call> call_;
};

absl::Status Busy() {
  return MakeError(absl::StatusCode::kResourceExhausted, "SERVER_BUSY",
                   "too many calls are waiting: repeat the call a little "
                   "later");
}

absl::Status Failed(const Call& call, const char* what) {
  LogEvent(spdlog::level::err, "exception",
           {{"request_id", call.request_id()}, {"error", what}});
  return MakeError(absl::StatusCode::kInternal, "EXCEPTION", what);
}

}  // namespace

absl::Status Guarded(const Call& call,
                     const std::function<absl::Status()>& step) {
  try {
    return step();
  } catch (const std::exception& error) {
    return Failed(call, error.what());
  } catch (...) {
    return Failed(call, "not a std::exception");
  }
}

Rpc::Rpc(std::string service, Metrics* metrics, WorkPool* pool)
    : service_(std::move(service)), pool_(pool) {
  const google::protobuf::ServiceDescriptor* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          service_);
  PROMPTD_CHECK(descriptor != nullptr);
  for (int i = 0; i < descriptor->method_count(); ++i) {
    const std::string& method = descriptor->method(i)->name();
    series_[method] = &metrics->Rpc(service_, method);
  }
}

std::shared_ptr<Call> Rpc::Begin(grpc::CallbackServerContext* context,
                                 const std::string& method) const {
  return std::make_shared<Call>(service_, method, *series_.at(method), context,
                                DeadlineRule{});
}

void Rpc::Run(Where where, std::shared_ptr<Call> call,
              std::function<absl::Status()> step, Done done) const {
  auto run = [call = std::move(call), step = std::move(step), done] {
    absl::Status status = call->CheckAlive();
    if (status.ok()) status = Guarded(*call, step);
    done(std::move(status));
  };
  if (where == Where::kHere) return run();
  if (!pool_->TrySubmit(std::move(run))) done(Busy());
}

grpc::ServerUnaryReactor* Rpc::Unary(grpc::CallbackServerContext* context,
                                     const std::string& method,
                                     Handler handler) {
  return UnaryAsync(context, method, DeadlineRule{},
                    [handler = std::move(handler)](
                        const std::shared_ptr<Call>& call, const Done& done) {
                      done(handler(*call));
                    });
}

grpc::ServerUnaryReactor* Rpc::UnaryAsync(grpc::CallbackServerContext* context,
                                          const std::string& method,
                                          const DeadlineRule& rule,
                                          AsyncHandler handler,
                                          const Choice& where) {
  auto call = std::make_shared<Call>(service_, method, *series_.at(method),
                                     context, rule);
  auto* reactor = new UnaryReactor(call);
  auto finished = std::make_shared<std::atomic<bool>>(false);
  const Done done = [call, reactor, finished](const absl::Status& status) {
    if (!finished->exchange(true)) reactor->Finish(call->End(status));
  };
  if (!call->admission().ok()) {
    done(call->admission());
    return reactor;
  }
  Run(
      where ? where(*call) : Where::kPool, call,
      [call, handler = std::move(handler), done] {
        handler(call, done);
        return absl::OkStatus();
      },
      [done](const absl::Status& status) {
        // OK: the handler has answered, or will.
        if (!status.ok()) done(status);
      });
  return reactor;
}

}  // namespace promptd::server
