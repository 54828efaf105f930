#include "bench/load/run_load.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <optional>
#include <unordered_set>
#include <utility>

#include "absl/time/clock.h"
#include "bench/load/arrivals.h"

namespace promptd::load {
namespace {

struct Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer reply;
  grpc::Status status;
  absl::Time due;
  absl::Time sent;
};

class Loop {
 public:
  Loop(const PaceOptions& pace, uint64_t seed,
       const std::vector<std::shared_ptr<grpc::Channel>>& channels,
       RequestMaker* requests)
      : pace_(pace),
        requests_(requests),
        arrivals_(pace.pattern, pace.rate > 0 ? pace.rate : 1, seed),
        tally_(pace, requests->images_per_request()),
        end_(tally_.end()) {
    for (const auto& channel : channels) stubs_.emplace_back(channel);
  }

  LoadResult Run() {
    if (pace_.rate > 0) {
      next_due_ = tally_.start() + arrivals_.Next();
    } else {
      for (int i = 0; i < pace_.concurrency; ++i) Send(absl::Now());
    }
    while (absl::Now() < end_) {
      SendWhatIsDue();
      Wait(std::min(next_due_, end_));
    }
    SendWhatIsDue();
    const absl::Time drained = end_ + kDrain;
    while (!under_way_.empty() && absl::Now() < drained) Wait(drained);
    for (Call* call : under_way_) call->context.TryCancel();
    while (!under_way_.empty()) Wait(absl::InfiniteFuture());
    queue_.Shutdown();
    return tally_.result();
  }

 private:
  void SendWhatIsDue() {
    while (next_due_ < end_ && next_due_ <= absl::Now()) {
      const absl::Time due = next_due_;
      next_due_ = tally_.start() + arrivals_.Next();
      if (under_way_.size() < static_cast<size_t>(pace_.max_outstanding)) {
        Send(due);
      } else {
        tally_.NotSent(due);
      }
    }
  }

  void Send(absl::Time due) {
    auto call = std::make_unique<Call>();
    call->due = due;
    requests_->NameTenant(&call->context);
    if (pace_.deadline > absl::ZeroDuration()) {
      call->context.set_deadline(absl::ToChronoTime(due + pace_.deadline));
    }
    call->reader = stubs_[sent_++ % stubs_.size()].PrepareUnaryCall(
        &call->context, requests_->method(), requests_->Next(), &queue_);
    call->sent = absl::Now();
    call->reader->StartCall();
    tally_.Sent(due, call->sent);
    call->reader->Finish(&call->reply, &call->status, call.get());
    under_way_.insert(call.release());
  }

  // Handles one answer, or returns at `until`.
  void Wait(absl::Time until) {
    void* tag = nullptr;
    bool ok = false;
    const auto next = queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(until));
    if (next != grpc::CompletionQueue::GOT_EVENT) return;
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    under_way_.erase(call.get());
    const absl::Time now = absl::Now();
    // The next one is under way before this answer is looked at.
    if (pace_.rate <= 0 && now < end_) Send(now);
    Count(*call, now);
  }

  void Count(const Call& call, absl::Time now) {
    int images = 0;
    grpc::Status status = call.status;
    if (status.ok()) {
      const absl::StatusOr<int> answered =
          requests_->AnsweredImages(call.reply);
      if (answered.ok()) {
        images = *answered;
      } else {
        status = grpc::Status(grpc::StatusCode::INTERNAL,
                              std::string(answered.status().message()));
      }
    }
    tally_.Ended(call.due, call.sent, status, images, now);
  }

  const PaceOptions& pace_;
  RequestMaker* const requests_;
  Arrivals arrivals_;
  Tally tally_;
  const absl::Time end_;
  std::vector<grpc::GenericStub> stubs_;
  grpc::CompletionQueue queue_;
  // Owned; each is the tag of its answer.
  std::unordered_set<Call*> under_way_;
  absl::Time next_due_ = absl::InfiniteFuture();  // of an open loop
  uint64_t sent_ = 0;
};

}  // namespace

LoadResult RunLoad(const PaceOptions& pace, uint64_t seed,
                   const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                   RequestMaker* requests) {
  return Loop(pace, seed, channels, requests).Run();
}

}  // namespace promptd::load
