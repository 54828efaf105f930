#include "server/open_streams.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::server {

absl::Status OpenStreams::Add(const std::shared_ptr<OpenStream>& stream) {
  absl::MutexLock lock(&mutex_);
  if (draining_) {
    return MakeError(absl::StatusCode::kUnavailable, "SHUTTING_DOWN",
                     "the server is shutting down: try again once it is back");
  }
  if (streams_.size() >= most_) {
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_STREAMS",
                     absl::StrCat("at most ", most_, " ", kind_,
                                  " streams are open at once: close one, or "
                                  "send requests on an open one"));
  }
  streams_.insert(stream);
  return absl::OkStatus();
}

void OpenStreams::Remove(const std::shared_ptr<OpenStream>& stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void OpenStreams::Drain() {
  std::vector<std::shared_ptr<OpenStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    streams.assign(streams_.begin(), streams_.end());
  }
  for (const std::shared_ptr<OpenStream>& stream : streams) stream->Drain();
}

}  // namespace promptd::server
