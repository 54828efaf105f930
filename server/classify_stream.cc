#include "server/classify_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/classify_calls.h"
#include "server/item_checks.h"
#include "server/multi_classify.h"

namespace promptd::server {
namespace {

constexpr size_t kMaxIdBytes = 128;

absl::Status BadItem(const std::string& field, const std::string& problem) {
  return InvalidFields("INVALID_STREAM_ITEM", {{field, problem}});
}

}  // namespace

ClassifyStream::ClassifyStream(std::shared_ptr<Call> call, const Rpc* rpc,
                               const Backend* backend, OpenStreams* streams)
    : ItemStream(std::move(call), rpc, streams,
                 {.items = backend->limits.max_stream_items}),
      backend_(*backend) {}

void ClassifyStream::Handle(const ItemPtr& item, const Rpc::Done& answer) {
  const v1::ClassifyStreamRequest& request = item->request;
  v1::ClassifyStreamResponse* response = &item->response;
  response->set_id(request.id());
  if (const absl::Status taken = TakeId(request.id()); !taken.ok()) {
    return answer(taken);
  }
  const Rpc::Done done = [this, item, answer](const absl::Status& status) {
    {
      absl::MutexLock lock(&ids_mutex_);
      ids_.erase(item->request.id());
    }
    // May destroy this object.
    answer(status);
  };
  const absl::StatusOr<absl::Time> deadline = DeadlineOf(request);
  if (!deadline.ok()) return done(deadline.status());
  switch (request.call_case()) {
    case v1::ClassifyStreamRequest::kClassify:
      return Classify(backend_, call(), *deadline, request.classify(),
                      response->mutable_classify(), done);
    case v1::ClassifyStreamRequest::kZeroShot:
      return ZeroShotClassify(backend_, call(), *deadline, request.zero_shot(),
                              response->mutable_classify(), done);
    case v1::ClassifyStreamRequest::kMulti:
      return MultiClassify(backend_, call(), *deadline, request.multi(),
                           response->mutable_multi(), done);
    case v1::ClassifyStreamRequest::CALL_NOT_SET:
      return done(BadItem("call", "is required: classify, zero_shot or multi"));
  }
}

Where ClassifyStream::WhereToHandle(const v1::ClassifyStreamRequest& request) {
  if (!request.has_classify()) return Where::kPool;
  return WhereToClassify(backend_, *call(), request.classify());
}

absl::Status ClassifyStream::Fail(const absl::Status& status, Item* item) {
  item->response.Clear();
  item->response.set_id(item->request.id());
  item->response.set_code(static_cast<int>(status.code()));
  SetItemError(status, &item->response);
  return absl::OkStatus();
}

absl::Status ClassifyStream::TakeId(const std::string& id) {
  if (id.empty() || id.size() > kMaxIdBytes) {
    return BadItem("id", absl::StrCat("has ", id.size(), " bytes, 1 to ",
                                      kMaxIdBytes, " are taken"));
  }
  absl::MutexLock lock(&ids_mutex_);
  if (ids_.insert(id).second) return absl::OkStatus();
  return MakeError(absl::StatusCode::kAlreadyExists, "DUPLICATE_ITEM_ID",
                   "an item of this id has no answer yet: give each item an "
                   "id of its own");
}

absl::StatusOr<absl::Time> ClassifyStream::DeadlineOf(
    const v1::ClassifyStreamRequest& request) const {
  const absl::Time now = absl::Now();
  const Limits& limits = backend_.limits;
  // The stream's deadline, if the client gave one, holds for all items.
  const absl::Time end = call()->deadline();
  if (!request.has_timeout()) {
    return std::min(end, now + limits.classify_deadline);
  }
  const absl::Duration timeout = absl::Seconds(request.timeout().seconds()) +
                                 absl::Nanoseconds(request.timeout().nanos());
  if (timeout <= absl::ZeroDuration()) {
    return BadItem("timeout", "must be above 0; leave it out for the default");
  }
  return std::min(end, now + std::min(timeout, limits.max_classify_deadline));
}

}  // namespace promptd::server
