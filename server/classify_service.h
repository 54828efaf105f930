// promptd.v1.ClassifyService: learned prompts and ad-hoc labels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "promptd/v1/classify.grpc.pb.h"
#include "server/backend.h"
#include "server/rpc.h"

namespace promptd::server {

// Thread-safe; `backend` is borrowed.
class ClassifyServiceImpl : public v1::ClassifyService::CallbackService {
 public:
  explicit ClassifyServiceImpl(const Backend* backend);

  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const v1::ClassifyRequest* request,
                                     v1::ClassifyResponse* reply) override;
  grpc::ServerUnaryReactor* ZeroShotClassify(
      grpc::CallbackServerContext* context,
      const v1::ZeroShotClassifyRequest* request,
      v1::ClassifyResponse* reply) override;

 private:
  // A call that is ready for the executor, and what its reply needs.
  struct Plan {
    worker::ClassifyCall call;
    std::vector<std::string> class_names;
  };
  absl::StatusOr<Plan> PlanLearned(const Call& call,
                                   const v1::ClassifyRequest& request,
                                   v1::ClassifyResponse* reply) const;
  absl::StatusOr<Plan> PlanZeroShot(const v1::ZeroShotClassifyRequest& request,
                                    v1::ClassifyResponse* reply) const;
  void Execute(const std::shared_ptr<Call>& call, absl::StatusOr<Plan> plan,
               v1::ClassifyResponse* reply, const Rpc::Done& done) const;

  const Backend& backend_;
  Rpc rpc_;
};

}  // namespace promptd::server
