#include "wire/attachment.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "common/error.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "wire/channel.h"
#include "wire/convert_call.h"

namespace promptd::wire {
namespace {

// Nothing that time would heal.
bool IsRefusal(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnauthenticated ||
         status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kUnimplemented ||
         status.code() == absl::StatusCode::kFailedPrecondition;
}

}  // namespace

Attachment::Attachment(const AttachmentOptions& options,
                       const std::shared_ptr<grpc::Channel>& channel,
                       WorkerToken token, WorkerHello hello,
                       ControlClient* control, std::function<bool()> ready,
                       std::function<void(const absl::Status&)> on_refused)
    : options_(options),
      token_(std::move(token)),
      hello_(std::move(hello)),
      stub_(pb::ControlService::NewStub(channel)),
      control_(control),
      ready_(std::move(ready)),
      on_refused_(std::move(on_refused)),
      runner_([this] { Run(); }),
      beater_([this] { Beat(); }) {}

Attachment::~Attachment() { Stop(); }

void Attachment::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  SendBeat();
}

void Attachment::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  if (runner_.joinable()) runner_.join();
  if (beater_.joinable()) beater_.join();
}

bool Attachment::WaitUntilAttached(absl::Time deadline) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(absl::Condition(&attached_), deadline);
}

void Attachment::Run() {
  absl::BitGen random;
  absl::Duration pause = options_.first_pause;
  bool ever_welcome = false;
  while (true) {
    absl::Status ended;
    const bool welcome = AttachOnce(&ended);
    if (welcome) pause = options_.first_pause;
    ever_welcome = ever_welcome || welcome;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    LogEvent(spdlog::level::warn, "not_attached",
             {{"reason", ErrorReason(ended)},
              {"error", std::string(ended.message())}});
    if (!ever_welcome && IsRefusal(ended)) return on_refused_(ended);
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_),
                            pause * absl::Uniform(random, 0.5, 1.5));
    if (stopping_) return;
    pause = std::min(pause * 2, options_.longest_pause);
  }
}

bool Attachment::AttachOnce(absl::Status* ended) {
  grpc::ClientContext context;
  Prepare(token_, absl::InfiniteFuture(), &context);
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return false;
    context_ = &context;
  }
  const auto stream = stub_->Attach(&context);
  pb::AttachRequest request;
  pb::WorkerHello* hello = request.mutable_hello();
  hello->set_worker_id(hello_.id);
  hello->set_address(hello_.address);
  hello->set_version(hello_.version);
  for (const worker::EncoderDescription& encoder : hello_.encoders) {
    ToProto(encoder, hello->add_encoders());
  }
  bool welcome = false;
  if (stream->Write(request)) ReadAll(stream.get(), &welcome);
  control_->SetSession("");
  {
    // Finish must not meet a beat.
    absl::MutexLock lock(&mutex_);
    stream_ = nullptr;
    attached_ = false;
  }
  const grpc::Status status = stream->Finish();
  {
    absl::MutexLock lock(&mutex_);
    context_ = nullptr;
  }
  *ended = status.ok()
               ? MakeError(absl::StatusCode::kUnavailable, "PEER_UNREACHABLE",
                           "the front end closed the stream")
               : FromGrpc(status, "the front end");
  return welcome;
}

void Attachment::ReadAll(Stream* stream, bool* welcome) {
  pb::AttachResponse response;
  while (stream->Read(&response)) {
    if (response.has_work()) {
      control_->NotifyWork();
      continue;
    }
    *welcome = true;
    control_->SetSession(response.welcome().session());
    LogEvent(spdlog::level::info, "attached",
             {{"worker", hello_.id}, {"address", hello_.address}});
    absl::MutexLock lock(&mutex_);
    stream_ = stream;
    attached_ = true;
    SendBeat();
  }
}

void Attachment::SendBeat() {
  if (stream_ == nullptr) return;
  FailpointStep("worker.beat");
  pb::AttachRequest request;
  request.mutable_beat()->set_ready(!draining_ && ready_());
  // Small beside the window of the connection: does not block.
  stream_->Write(request);
}

void Attachment::Beat() {
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&stopping_),
                                  options_.beat_interval)) {
    SendBeat();
  }
}

}  // namespace promptd::wire
