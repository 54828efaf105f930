// Clients that were answered, and whether they come back at once.
#pragma once

#include <cstddef>

#include "absl/time/time.h"

namespace promptd::worker {

// Clients that keep so many requests under way send the next once they are
// answered; others send when something happens to them, however soon that is
// behind an answer. Which kind there is is seen from what comes upon answers: a
// round begins with answers, ends when as many images have come, or none has
// within `patience` of the one before, and tells how many came back. Whoever
// comes is taken for one of those answered. Thread-compatible.
class ReturningClients {
 public:
  // So many images are answered now.
  void Answered(size_t images, absl::Time now, absl::Duration patience);
  // So many of them were not.
  void Unanswered(size_t images);
  // An image came.
  void Came(absl::Time now, absl::Duration patience);

  // Images of the round that are not back, also once it is over.
  size_t away() const { return away_; }
  // Whether they come back at once: in nine of ten cases so far.
  bool Expected() const;
  // When the last one was answered or came back.
  absl::Time last() const { return last_; }

 private:
  void End();

  bool under_way_ = false;  // a round
  size_t answered_ = 0;
  size_t away_ = 0;
  absl::Time last_ = absl::InfinitePast();
  double returned_ = 0;  // the part that came back, lately
};

}  // namespace promptd::worker
