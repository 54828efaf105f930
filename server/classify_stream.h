// ClassifyStream: classify calls as items of one stream.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "promptd/v1/classify.pb.h"
#include "server/backend.h"
#include "server/item_stream.h"

namespace promptd::server {

class ClassifyStream
    : public ItemStream<v1::ClassifyStreamRequest, v1::ClassifyStreamResponse> {
 public:
  // Owns itself. The pointers are borrowed.
  ClassifyStream(std::shared_ptr<Call> call, const Rpc* rpc,
                 const Backend* backend, OpenStreams* streams);

 private:
  void Handle(const ItemPtr& item, const Rpc::Done& answer) override;
  Where WhereToHandle(const v1::ClassifyStreamRequest& request) override;
  absl::Status Fail(const absl::Status& status, Item* item) override;

  // INVALID_ARGUMENT (INVALID_STREAM_ITEM); ALREADY_EXISTS
  // (DUPLICATE_ITEM_ID).
  absl::Status TakeId(const std::string& id);
  absl::StatusOr<absl::Time> DeadlineOf(
      const v1::ClassifyStreamRequest& request) const;

  const Backend& backend_;
  absl::Mutex ids_mutex_;
  std::set<std::string> ids_ ABSL_GUARDED_BY(ids_mutex_);  // without an answer
};

}  // namespace promptd::server
