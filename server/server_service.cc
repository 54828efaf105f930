#include "server/server_service.h"

#include <string>

#include "common/clock.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "jobs/job_store.h"
#include "server/fleet.h"
#include "server/spec_resolver.h"

namespace promptd::server {
namespace {

void FillLimits(const Limits& limits, int text_tokens, v1::Limits* out) {
  out->set_max_image_bytes(limits.max_image_bytes);
  out->set_max_image_side(limits.max_image_side);
  out->set_max_image_pixels(limits.max_image_pixels);
  out->set_max_images_per_call(limits.max_images_per_call);
  out->set_max_texts_per_call(limits.max_texts_per_call);
  out->set_max_vectors_per_call(limits.max_vectors_per_call);
  out->set_max_tasks_per_call(limits.max_tasks_per_call);
  out->set_max_stream_items(limits.max_stream_items);
  out->set_max_message_bytes(limits.max_message_bytes);
  out->set_max_classes(limits.max_classes);
  out->set_max_dataset_images(limits.max_dataset_images);
  out->set_max_context_tokens(limits.max_context_tokens);
  out->set_max_text_tokens(text_tokens);
  out->set_max_queued_jobs(limits.max_unfinished_jobs);
}

}  // namespace

ServerServiceImpl::ServerServiceImpl(const Backend* backend)
    : backend_(*backend),
      rpc_("promptd.v1.ServerService", backend->metrics, backend->pool) {}

grpc::ServerUnaryReactor* ServerServiceImpl::GetServerInfo(
    grpc::CallbackServerContext* context,
    const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* reply) {
  return rpc_.Unary(context, "GetServerInfo",
                    [this, reply](const Call&) { return Fill(reply); });
}

absl::Status ServerServiceImpl::Fill(v1::GetServerInfoResponse* reply) const {
  int text_tokens = 0;
  for (const FleetMember& member : Fleet(backend_)) {
    v1::WorkerInfo* worker = reply->add_workers();
    worker->set_id(member.id);
    worker->set_ready(member.ready);
    worker->set_device(member.device);
    worker->set_address(member.address);
    worker->set_version(member.version);
    worker->set_load(member.load);
    for (const std::string& digest : member.encoder_digests) {
      worker->add_encoder_digests(digest);
    }
  }
  const auto default_encoder = FindEncoder(backend_, "");
  if (default_encoder.ok()) {
    text_tokens = default_encoder->context_length;
    reply->set_default_encoder(default_encoder->name);
  }
  reply->set_version(backend_.version);
  FillLimits(backend_.limits, text_tokens, reply->mutable_limits());
  ASSIGN_OR_RETURN(const auto counts, backend_.jobs->CountByState());
  for (const jobs::JobState state : jobs::kAllJobStates) {
    (*reply->mutable_jobs())[std::string(jobs::JobStateName(state))] =
        counts[static_cast<size_t>(state)];
  }
  for (const MethodTraits& method : kMethods) {
    v1::MethodInfo* info = reply->add_methods();
    info->set_name(std::string(method.name));
    info->set_summary(std::string(method.summary));
  }
  reply->set_uptime_seconds(
      absl::ToInt64Seconds(backend_.clock->Now() - backend_.start_time));
  return absl::OkStatus();
}

}  // namespace promptd::server
