#include "bench/load/run_streams.h"

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace promptd::load {
namespace {

// An item that waits for its answer has a place, whose number is its id.
struct Place {
  absl::Time due;
  bool taken = false;
  absl::Time sent = due;
};

class Stream;

struct Event {
  Stream* stream;
  void (Stream::*handle)(bool ok);
};

// One stream. What it sends gathers until Flush().
class Stream {
 public:
  Stream(const std::shared_ptr<grpc::Channel>& channel, int places,
         RequestMaker* requests, Tally* tally, grpc::CompletionQueue* queue)
      : requests_(requests), tally_(tally), places_(places) {
    requests_->NameTenant(&context_);
    call_ = grpc::GenericStub(channel).PrepareCall(&context_,
                                                   requests_->method(), queue);
    call_->StartCall(&started_);
  }

  void Cancel() { context_.TryCancel(); }
  bool NotDone() const { return !done_; }
  bool Waits() const { return !done_ && under_way_ > 0; }

  void Flush() {
    if (writing_ || over_ || unsent_.empty()) return;
    const size_t place = unsent_.front();
    unsent_.pop_front();
    writing_ = true;
    places_[place].sent = absl::Now();
    tally_->Sent(places_[place].due, places_[place].sent);
    grpc::WriteOptions options;
    // What follows at once goes out with it.
    if (!unsent_.empty()) options.set_buffer_hint();
    call_->Write(requests_->NextItem(absl::StrCat(place)), options, &written_);
  }

 private:
  void Send(size_t place) {
    places_[place] = {absl::Now(), true};
    unsent_.push_back(place);
    ++under_way_;
  }

  void OnStarted(bool ok) {
    if (!ok) return End();
    for (size_t i = 0; i < places_.size(); ++i) Send(i);
    call_->Read(&incoming_, &read_);
  }

  void OnWritten(bool ok) {
    writing_ = false;
    if (ok) Flush();
  }

  void OnRead(bool ok) {
    if (!ok) return End();
    const absl::Time now = absl::Now();
    const absl::StatusOr<ItemAnswer> answer = requests_->AnswerOf(incoming_);
    incoming_.Clear();
    size_t place = 0;
    if (!answer.ok() || !absl::SimpleAtoi(answer->id, &place) ||
        place >= places_.size() || !places_[place].taken) {
      context_.TryCancel();
    } else {
      --under_way_;
      tally_->Ended(places_[place].due, places_[place].sent, answer->status,
                    answer->images, now);
      places_[place].taken = false;
      if (now < tally_->end()) Send(place);
    }
    call_->Read(&incoming_, &read_);
  }

  void End() {
    over_ = true;
    call_->Finish(&status_, &finished_);
  }

  void OnFinished(bool /*ok*/) {
    const absl::Time now = absl::Now();
    for (const size_t place : unsent_) places_[place].taken = false;
    if (status_.ok()) {
      status_ = grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream ended");
    }
    for (const Place& place : places_) {
      if (place.taken) {
        tally_->Ended(place.due, place.sent, status_, 0, now);
      }
    }
    under_way_ = 0;
    done_ = true;
  }

  RequestMaker* const requests_;
  Tally* const tally_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer incoming_;
  grpc::Status status_;
  std::vector<Place> places_;
  std::deque<size_t> unsent_;
  int under_way_ = 0;
  bool writing_ = false;
  bool over_ = false;
  bool done_ = false;
  Event started_{this, &Stream::OnStarted};
  Event written_{this, &Stream::OnWritten};
  Event read_{this, &Stream::OnRead};
  Event finished_{this, &Stream::OnFinished};
};

class StreamLoop {
 public:
  StreamLoop(const PaceOptions& pace,
             const std::vector<std::shared_ptr<grpc::Channel>>& channels,
             RequestMaker* requests)
      : tally_(pace, requests->images_per_request()) {
    const int count = static_cast<int>(channels.size());
    for (int i = 0; i < count; ++i) {
      const int places =
          pace.concurrency / count + (i < pace.concurrency % count ? 1 : 0);
      if (places == 0) break;
      streams_.push_back(std::make_unique<Stream>(channels[i], places, requests,
                                                  &tally_, &queue_));
    }
  }

  LoadResult Run() {
    while (absl::Now() < tally_.end() && Any(&Stream::NotDone)) {
      Wait(tally_.end());
    }
    const absl::Time drained = tally_.end() + kDrain;
    while (absl::Now() < drained && Any(&Stream::Waits)) Wait(drained);
    for (const auto& stream : streams_) stream->Cancel();
    while (Any(&Stream::NotDone)) Wait(absl::InfiniteFuture());
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
    return tally_.result();
  }

 private:
  bool Any(bool (Stream::*holds)() const) const {
    return std::any_of(streams_.begin(), streams_.end(),
                       [&](const auto& one) { return ((*one).*holds)(); });
  }

  // Handles all that has happened, or returns at `until`.
  void Wait(absl::Time until) {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(until)) ==
           grpc::CompletionQueue::GOT_EVENT) {
      const Event& event = *static_cast<Event*>(tag);
      (event.stream->*event.handle)(ok);
      until = absl::UnixEpoch();
    }
    for (const auto& stream : streams_) stream->Flush();
  }

  Tally tally_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace

LoadResult RunStreams(
    const PaceOptions& pace,
    const std::vector<std::shared_ptr<grpc::Channel>>& channels,
    RequestMaker* requests) {
  return StreamLoop(pace, channels, requests).Run();
}

}  // namespace promptd::load
