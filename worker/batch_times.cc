#include "worker/batch_times.h"

#include <algorithm>
#include <iterator>

namespace promptd::worker {
namespace {

constexpr double kWeight = 0.25;  // of a new measurement
constexpr size_t kTowers = 64;    // remembered

}  // namespace

void BatchTimes::Measured(const std::string& tower, int images,
                          absl::Duration elapsed) {
  absl::MutexLock lock(&mutex_);
  Tower& measured = towers_[tower];
  measured.measured = ++measurements_;
  const auto [entry, added] = measured.times.emplace(images, elapsed);
  if (!added) entry->second += (elapsed - entry->second) * kWeight;
  if (towers_.size() <= kTowers) return;
  towers_.erase(std::min_element(towers_.begin(), towers_.end(),
                                 [](const auto& a, const auto& b) {
                                   return a.second.measured < b.second.measured;
                                 }));
}

absl::Duration BatchTimes::Of(const std::string& tower, int images) const {
  absl::MutexLock lock(&mutex_);
  return OfLocked(tower, images);
}

absl::Duration BatchTimes::OfAll(const std::string& tower, int64_t images,
                                 int batch) const {
  absl::MutexLock lock(&mutex_);
  const int64_t whole = images / batch;
  const int rest = static_cast<int>(images % batch);
  return OfLocked(tower, batch) * whole +
         (rest == 0 ? absl::ZeroDuration() : OfLocked(tower, rest));
}

int BatchTimes::Largest(const std::string& tower, absl::Duration limit,
                        int most) const {
  absl::MutexLock lock(&mutex_);
  int largest = 1;
  for (int images = 2; images <= most; ++images) {
    if (OfLocked(tower, images) <= limit) largest = images;
  }
  return largest;
}

absl::Duration BatchTimes::OfLocked(const std::string& tower,
                                    int images) const {
  const auto found = towers_.find(tower);
  if (found == towers_.end()) return absl::ZeroDuration();
  const std::map<int, absl::Duration>& times = found->second.times;
  const auto above = times.lower_bound(images);
  if (above == times.end()) {
    const auto& [size, time] = *std::prev(times.end());
    return time * images / size;
  }
  if (above->first == images || above == times.begin()) return above->second;
  const auto below = std::prev(above);
  return below->second + (above->second - below->second) *
                             (images - below->first) /
                             (above->first - below->first);
}

}  // namespace promptd::worker
