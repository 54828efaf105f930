#include "worker/returning_clients.h"

#include <algorithm>

namespace promptd::worker {
namespace {

constexpr double kMostOf = 0.9;
// Of a round with one image, and at most: one client that came back says
// little.
constexpr double kWeight = 1.0 / 64;
constexpr double kMostWeight = 0.25;

}  // namespace

void ReturningClients::Answered(size_t images, absl::Time now,
                                absl::Duration patience) {
  if (now - last_ > patience) End();
  if (!under_way_) answered_ = away_ = 0;
  under_way_ = true;
  answered_ += images;
  away_ += images;
  last_ = now;
}

void ReturningClients::Unanswered(size_t images) {
  images = std::min(images, away_);
  away_ -= images;
  answered_ -= images;
}

void ReturningClients::Came(absl::Time now, absl::Duration patience) {
  if (now - last_ > patience) End();
  if (away_ > 0) --away_;
  if (!under_way_) return;
  last_ = now;
  if (away_ == 0) End();
}

bool ReturningClients::Expected() const {
  return under_way_ && away_ > 0 && returned_ >= kMostOf;
}

void ReturningClients::End() {
  if (under_way_ && answered_ > 0) {
    const auto answered = static_cast<double>(answered_);
    const double returned = 1 - static_cast<double>(away_) / answered;
    returned_ +=
        std::min(kMostWeight, kWeight * answered) * (returned - returned_);
  }
  under_way_ = false;
}

}  // namespace promptd::worker
