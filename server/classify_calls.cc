#include "server/classify_calls.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_classify.h"
#include "server/item_checks.h"
#include "server/spec_resolver.h"
#include "server/top_k.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

// Of a call that runs on gRPC's thread: some tenths of a millisecond at most,
// for hashing its bytes and for its scores. An image costs as much as so many
// scores.
constexpr size_t kMaxBytesHere = 128 << 10;
constexpr size_t kMaxScoresHere = 4096;
constexpr size_t kScoresOfImage = 128;

// A call that is ready for the executor, and what its reply needs.
struct Plan {
  worker::ClassifyCall call;
  std::shared_ptr<const std::vector<std::string>> class_names;
  std::string task = {};  // of a learned prompt
};

template <typename Request>
std::vector<FieldViolation> Check(const Limits& limits,
                                  const Request& request) {
  std::vector<FieldViolation> violations;
  CheckImages(limits, request, &violations);
  CheckTopK("top_k", request.top_k(), &violations);
  return violations;
}

// One head over the images, which are borrowed from the request.
template <typename Request>
worker::ClassifyCall OneHead(const Request& request, worker::TextSide text,
                             size_t classes) {
  worker::ClassifyCall call;
  SetImages(request, &call);
  call.heads.push_back(
      {std::move(text), EffectiveTopK(request.top_k(), classes)});
  return call;
}

absl::StatusOr<Plan> PlanLearned(const Backend& backend, const Call& call,
                                 const v1::ClassifyRequest& request,
                                 v1::ClassifyResponse* reply) {
  std::vector<FieldViolation> violations = Check(backend.limits, request);
  if (request.task().empty()) {
    violations.push_back({"task", "is required: the name of a task"});
  }
  if (!violations.empty()) {
    return InvalidFields("INVALID_CLASSIFY_REQUEST", violations);
  }
  ASSIGN_OR_RETURN(const VersionPin version,
                   backend.pins->Select(call.principal().tenant, request));
  // The names live as long as their version is pinned.
  Plan plan{OneHead(request, {.features_digest = version->features_digest},
                    version->class_names.size()),
            {version, &version->class_names}};
  plan.task = request.task();
  plan.call.encoder_digest = version->encoder_digest;
  reply->set_version(version->version);
  reply->set_version_digest(version->digest);
  reply->set_encoder_digest(version->encoder_digest);
  return plan;
}

absl::StatusOr<Plan> PlanZeroShot(const Backend& backend,
                                  const v1::ZeroShotClassifyRequest& request,
                                  v1::ClassifyResponse* reply) {
  std::vector<FieldViolation> violations = Check(backend.limits, request);
  const auto names = std::make_shared<const std::vector<std::string>>(
      request.labels().begin(), request.labels().end());
  const std::vector<std::string>& labels = *names;
  std::vector<std::string> texts =
      ZeroShotTexts(backend.limits, labels, request.template_(), &violations);
  if (!violations.empty()) {
    return InvalidFields("INVALID_CLASSIFY_REQUEST", violations);
  }
  ASSIGN_OR_RETURN(const worker::EncoderDescription encoder,
                   FindEncoder(backend, request.encoder()));
  Plan plan{OneHead(request, {.texts = std::move(texts)}, labels.size()),
            names};
  plan.call.encoder_digest = encoder.digest;
  reply->set_encoder_digest(encoder.digest);
  return plan;
}

void Execute(const Backend& backend, const std::shared_ptr<Call>& call,
             absl::Time deadline, absl::StatusOr<Plan> plan,
             v1::ClassifyResponse* reply, const Rpc::Done& done) {
  if (!plan.ok()) return done(plan.status());
  plan->call.tenant = call->principal().tenant;
  plan->call.deadline = deadline;
  plan->call.cancelled = call->CancelledFunction();
  reply->set_request_id(call->request_id());
  backend.executor->Classify(
      std::move(plan->call),
      [call, reply, done, names = std::move(plan->class_names),
       task = std::move(plan->task)](
          const absl::StatusOr<worker::ClassifyOutcome>& outcome) {
        done(Guarded(*call, [&]() -> absl::Status {
          RETURN_IF_ERROR(NameDamage(outcome.status(), task, reply->version()));
          RETURN_IF_ERROR(FillResults(outcome->images, 0, *names,
                                      reply->mutable_results()));
          MergeTimings(*outcome, reply->mutable_timings());
          SetTemperature(*outcome, 0, reply);
          return absl::OkStatus();
        }));
      });
}

}  // namespace

DeadlineRule ClassifyDeadline(const Limits& limits) {
  return {limits.classify_deadline, limits.max_classify_deadline};
}

Where WhereToRun(size_t bytes, size_t images, size_t classes) {
  const bool small = bytes <= kMaxBytesHere &&
                     images <= kMaxScoresHere / (classes + kScoresOfImage);
  return small ? Where::kHere : Where::kPool;
}

bool IsAtHand(const Backend& backend, const VersionPin& version) {
  return version != nullptr && version->image_tower.empty() &&
         backend.executor->HeadAtHand(version->features_digest);
}

Where WhereToClassify(const Backend& backend, const Call& call,
                      const v1::ClassifyRequest& request) {
  const VersionPin version =
      backend.pins->Known(call.principal().tenant, request);
  if (!IsAtHand(backend, version)) return Where::kPool;
  size_t bytes = 0;
  for (const std::string& image : request.images()) bytes += image.size();
  return WhereToRun(bytes,
                    static_cast<size_t>(request.images_size()) +
                        static_cast<size_t>(request.image_digests_size()),
                    version->class_names.size());
}

void Classify(const Backend& backend, const std::shared_ptr<Call>& call,
              absl::Time deadline, const v1::ClassifyRequest& request,
              v1::ClassifyResponse* reply, const Rpc::Done& done) {
  Execute(backend, call, deadline, PlanLearned(backend, *call, request, reply),
          reply, done);
}

void ZeroShotClassify(const Backend& backend, const std::shared_ptr<Call>& call,
                      absl::Time deadline,
                      const v1::ZeroShotClassifyRequest& request,
                      v1::ClassifyResponse* reply, const Rpc::Done& done) {
  Execute(backend, call, deadline, PlanZeroShot(backend, request, reply), reply,
          done);
}

}  // namespace promptd::server
