#include "tests/client/fake_server.h"

#include <chrono>

#include "common/check.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_builder.h"
#include "tests/client/fake_services.h"

namespace promptd::testing {

grpc::Status RichError(
    grpc::StatusCode code, const std::string& reason,
    const std::string& message,
    const std::vector<std::pair<std::string, std::string>>& fields) {
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("promptd");
  (*info.mutable_metadata())["request_id"] = "req-1";
  status.add_details()->PackFrom(info);
  if (!fields.empty()) {
    google::rpc::BadRequest bad_request;
    for (const auto& [field, description] : fields) {
      auto* violation = bad_request.add_field_violations();
      violation->set_field(field);
      violation->set_description(description);
    }
    status.add_details()->PackFrom(bad_request);
  }
  return grpc::Status(code, message, status.SerializeAsString());
}

namespace {

v1::VerifyEncoderResponse Passed() {
  v1::VerifyEncoderResponse reply;
  reply.mutable_encoder()->set_name("embedded");
  reply.mutable_encoder()->set_digest("0123456789abcdef");
  reply.set_digest_on_disk("0123456789abcdef");
  reply.set_files_unchanged(true);
  reply.set_passed(true);
  reply.set_origin("open_clip 3.3.0, float32");
  for (const char* subject : {"image features", "text features"}) {
    v1::SelfTestCheck* check = reply.add_checks();
    check->set_subject(subject);
    check->set_vectors(2);
    check->set_deviation(1.2e-6f);
    check->set_allowed_deviation(1e-4f);
    check->set_cosine(0.999999f);
    check->set_required_cosine(0.9999f);
    check->set_passed(true);
  }
  return reply;
}

}  // namespace

FakeServer::FakeServer() {
  state_.verification = Passed();
  state_.limits.set_max_images_per_call(2);
  state_.limits.set_max_texts_per_call(2);
  state_.limits.set_max_image_bytes(1 << 20);
  state_.limits.set_max_message_bytes(4 << 20);
  state_.limits.set_max_classes(4096);
  services_ = MakeFakeServices(&state_);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  for (const auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  PROMPTD_CHECK(server_ != nullptr);
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeServer::~FakeServer() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

}  // namespace promptd::testing
