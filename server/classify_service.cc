#include "server/classify_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_classify.h"
#include "server/item_checks.h"
#include "server/spec_resolver.h"
#include "server/version_selector.h"

namespace promptd::server {
namespace {

constexpr int kDefaultTopK = 5;

template <typename Request>
std::vector<FieldViolation> CheckImages(const Limits& limits,
                                        const Request& request) {
  std::vector<FieldViolation> violations;
  CheckItemCount("images", request.images_size(), limits.max_images_per_call,
                 &violations);
  if (request.top_k() < 0) {
    violations.push_back(
        {"top_k", absl::StrCat("is ", request.top_k(), ", must be 0 or more")});
  }
  return violations;
}

// Top-k, images and the caller's end, common to both kinds of call.
template <typename Request>
worker::ClassifyCall CommonCall(const Request& request, size_t classes) {
  worker::ClassifyCall call;
  call.images.assign(request.images().begin(), request.images().end());
  const int top_k = request.top_k() == 0 ? kDefaultTopK : request.top_k();
  call.top_k = std::min(top_k, static_cast<int>(classes));
  return call;
}

}  // namespace

ClassifyServiceImpl::ClassifyServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.ClassifyService", backend->metrics, backend->pool) {}

grpc::ServerUnaryReactor* ClassifyServiceImpl::Classify(
    grpc::CallbackServerContext* context, const v1::ClassifyRequest* request,
    v1::ClassifyResponse* reply) {
  const DeadlineRule rule{backend_.limits.classify_deadline,
                          backend_.limits.max_classify_deadline};
  return rpc_.UnaryAsync(
      context, "Classify", rule,
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        Execute(call, PlanLearned(*call, *request, reply), reply, done);
      });
}

grpc::ServerUnaryReactor* ClassifyServiceImpl::ZeroShotClassify(
    grpc::CallbackServerContext* context,
    const v1::ZeroShotClassifyRequest* request, v1::ClassifyResponse* reply) {
  const DeadlineRule rule{backend_.limits.classify_deadline,
                          backend_.limits.max_classify_deadline};
  return rpc_.UnaryAsync(
      context, "ZeroShotClassify", rule,
      [this, request, reply](const std::shared_ptr<Call>& call,
                             const Rpc::Done& done) {
        Execute(call, PlanZeroShot(*request, reply), reply, done);
      });
}

absl::StatusOr<ClassifyServiceImpl::Plan> ClassifyServiceImpl::PlanLearned(
    const Call& call, const v1::ClassifyRequest& request,
    v1::ClassifyResponse* reply) const {
  std::vector<FieldViolation> violations =
      CheckImages(backend_.limits, request);
  if (request.task().empty()) {
    violations.push_back({"task", "is required: the name of a task"});
  }
  if (!violations.empty()) {
    return InvalidFields("INVALID_CLASSIFY_REQUEST", violations);
  }
  ASSIGN_OR_RETURN(const registry::PromptVersion version,
                   SelectVersion(backend_.registry->prompts(),
                                 call.principal().tenant, request));
  Plan plan{CommonCall(request, version.class_names.size()),
            version.class_names};
  plan.call.encoder_digest = version.encoder_digest;
  plan.call.text.features_digest = version.features_digest;
  reply->set_version(version.version);
  reply->set_version_digest(version.digest);
  reply->set_encoder_digest(version.encoder_digest);
  return plan;
}

absl::StatusOr<ClassifyServiceImpl::Plan> ClassifyServiceImpl::PlanZeroShot(
    const v1::ZeroShotClassifyRequest& request,
    v1::ClassifyResponse* reply) const {
  std::vector<FieldViolation> violations =
      CheckImages(backend_.limits, request);
  const std::vector<std::string> labels(request.labels().begin(),
                                        request.labels().end());
  std::vector<std::string> texts =
      ZeroShotTexts(backend_.limits, labels, request.template_(), &violations);
  if (!violations.empty()) {
    return InvalidFields("INVALID_CLASSIFY_REQUEST", violations);
  }
  ASSIGN_OR_RETURN(const worker::EncoderDescription encoder,
                   FindEncoder(backend_, request.encoder()));
  Plan plan{CommonCall(request, labels.size()), labels};
  plan.call.encoder_digest = encoder.digest;
  plan.call.text.texts = std::move(texts);
  reply->set_encoder_digest(encoder.digest);
  return plan;
}

void ClassifyServiceImpl::Execute(const std::shared_ptr<Call>& call,
                                  absl::StatusOr<Plan> plan,
                                  v1::ClassifyResponse* reply,
                                  const Rpc::Done& done) const {
  if (!plan.ok()) return done(plan.status());
  plan->call.deadline = call->deadline();
  plan->call.cancelled = call->CancelledFunction();
  reply->set_request_id(call->request_id());
  backend_.executor->Classify(
      std::move(plan->call),
      [call, reply, done, names = std::move(plan->class_names)](
          const absl::StatusOr<worker::ClassifyOutcome>& outcome) {
        done(Guarded(*call, [&]() -> absl::Status {
          RETURN_IF_ERROR(outcome.status());
          return ToProto(*outcome, names, reply);
        }));
      });
}

}  // namespace promptd::server
