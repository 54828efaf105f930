// What became of the requests of a run, counted.
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "bench/load/histogram.h"
#include "bench/load/options.h"

namespace promptd::load {

// Of what is under way when a run ends: then it is cancelled.
inline constexpr absl::Duration kDrain = absl::Seconds(30);

// Of the requests that were due in the measured time.
struct LoadResult {
  int64_t requests = 0;  // due, sent or not
  int64_t ok = 0;
  int64_t not_sent = 0;  // too many were under way
  std::map<std::string, int64_t> by_code;
  int64_t image_errors = 0;  // in replies that are OK
  // Images answered behind the first answer of the measured time, up to and
  // with the first one behind its end, and the time between these two: as
  // answers come a batch at a time, whole batches, as the encoder in the loop
  // counts its own. Without an answer behind the end, until the end.
  int64_t images = 0;
  absl::Duration images_time;
  int64_t images_in_all = 0;  // those of the warm-up and of the end too
  int64_t late = 0;           // OK, but after the deadline
  // From when a request was due until its answer: of replies that are OK, and
  // of those refused (RESOURCE_EXHAUSTED, UNAVAILABLE, or DEADLINE_EXCEEDED
  // before the deadline). A refusal also from when the request was sent: what
  // is left when the generator's own lateness is taken off.
  Histogram latency;
  Histogram rejection;
  Histogram rejection_since_sent;
  Histogram send_lag;  // how late the generator itself was
  std::string first_error;
};

// Thread-compatible.
class Tally {
 public:
  // The run starts now. `pace` must outlive this.
  Tally(const PaceOptions& pace, int images_per_request);

  absl::Time start() const { return start_; }
  absl::Time end() const { return end_; }  // of the measured time

  void Sent(absl::Time due, absl::Time sent);
  void NotSent(absl::Time due);
  // `images` of the request, which was due and sent then, were answered now.
  void Ended(absl::Time due, absl::Time sent, const grpc::Status& status,
             int images, absl::Time now);

  const LoadResult& result() const { return result_; }

 private:
  void CountImages(int images, absl::Time now);
  bool Measured(absl::Time time) const {
    return time >= measured_ && time < end_;
  }

  const PaceOptions& pace_;
  const int images_per_request_;
  const absl::Time start_;
  const absl::Time measured_;
  const absl::Time end_;
  absl::Time first_answer_ = absl::InfiniteFuture();  // of the measured time
  bool all_counted_ = false;
  LoadResult result_;
};

}  // namespace promptd::load
