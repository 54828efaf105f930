#include "server/watch_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_job.h"

namespace promptd::server {
namespace {

constexpr int kEventsPerFetch = 64;

}  // namespace

WatchStream* WatchStream::Start(std::shared_ptr<Call> call, WatchLoop* loop,
                                jobs::JobStore* jobs, int64_t job,
                                int64_t from_sequence) {
  const absl::Status admission = call->admission();
  // The stream keeps itself alive until OnDone.
  auto* stream =
      new WatchStream(std::move(call), loop, jobs, job, from_sequence);
  stream->self_.reset(stream);
  absl::Status status = admission;
  if (status.ok() && from_sequence < 0) {
    status = InvalidFields("INVALID_SEQUENCE",
                           {{"from_sequence", "must be 0 or more"}});
  }
  const std::shared_ptr<WatchStream> self = stream->self_;
  if (status.ok()) status = loop->Add(self);
  if (!status.ok()) {
    absl::MutexLock lock(&stream->mutex_);
    stream->End(status);
  }
  return stream;
}

WatchStream::WatchStream(std::shared_ptr<Call> call, WatchLoop* loop,
                         jobs::JobStore* jobs, int64_t job,
                         int64_t from_sequence)
    : call_(std::move(call)),
      loop_(loop),
      jobs_(jobs),
      job_(job),
      next_(std::max<int64_t>(from_sequence, 1)) {}

void WatchStream::Pump() {
  absl::MutexLock lock(&mutex_);
  // A write in progress wakes the loop again when it is done.
  if (ended_ || writing_) return;
  const absl::Status status = Fetch();
  if (!status.ok()) return End(status);
  if (!pending_.empty()) return SendNext();
  if (last_seen_) End(absl::OkStatus());
}

absl::Status WatchStream::Fetch() {
  const std::string& tenant = call_->principal().tenant;
  ASSIGN_OR_RETURN(const std::vector<jobs::JobEvent> events,
                   jobs_->Events(tenant, job_, next_, kEventsPerFetch));
  for (const jobs::JobEvent& event : events) {
    RETURN_IF_ERROR(ToProto(event, &pending_.emplace_back()));
    next_ = event.sequence + 1;
    last_seen_ = jobs::IsTerminal(event.state);
  }
  if (!events.empty()) return absl::OkStatus();
  // Asked to start after the last event of a job that has ended?
  ASSIGN_OR_RETURN(const jobs::Job job, jobs_->Get(tenant, job_));
  if (!jobs::IsTerminal(job.state)) return absl::OkStatus();
  if (job.last_sequence < next_) {
    last_seen_ = true;
  } else {
    loop_->Wake(this);
  }
  return absl::OkStatus();
}

void WatchStream::SendNext() {
  writing_ = true;
  StartWrite(&pending_.front());
}

void WatchStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (ended_) return;
  if (!ok) {
    return End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                         "the client is gone"));
  }
  pending_.pop_front();
  if (!pending_.empty()) return SendNext();
  if (last_seen_) return End(absl::OkStatus());
  loop_->Wake(this);
}

void WatchStream::OnCancel() {
  call_->MarkCancelled();
  absl::MutexLock lock(&mutex_);
  End(MakeError(absl::StatusCode::kCancelled, "CANCELLED",
                "the client cancelled the call"));
}

void WatchStream::Drain() {
  absl::MutexLock lock(&mutex_);
  End(MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                "the server is shutting down: watch again once it is back, "
                "from the next sequence number"));
}

void WatchStream::End(const absl::Status& status) {
  if (ended_) return;
  ended_ = true;
  Finish(call_->End(status));
}

void WatchStream::OnDone() {
  loop_->Remove(this);
  // May destroy this object.
  const std::shared_ptr<WatchStream> self = std::move(self_);
}

}  // namespace promptd::server
