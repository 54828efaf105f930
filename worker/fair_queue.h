// Work of many tenants that waits for one resource, and whose turn it is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/check.h"
#include "worker/priority.h"

namespace promptd::worker {

// Between tenants: next comes the one that has cost the least, as measured and
// told by Charge(). Who comes back after a while starts level with the others
// and has saved nothing up (the virtual token counter of Sheng et al.,
// "Fairness in Serving Large Language Models", OSDI 2024, algorithm 2).
// Within a tenant: the highest priority first, but one that was passed over for
// `kAgeing` next; calls of one priority take turns, item by item, so that a
// large call does not hold up a small one. A tenant's priorities matter to
// itself alone.
// Items are as many as admission lets in. Thread-safe.
template <typename Item>
class FairQueue {
 public:
  static constexpr absl::Duration kAgeing = absl::Seconds(1);
  static constexpr size_t kTenantsRemembered = 256;

  // Of one tenant at most so many items are taken and not yet released; others
  // wait here and let other tenants by.
  explicit FairQueue(int max_taken = std::numeric_limits<int>::max())
      : max_taken_(max_taken) {}

  // `call` tells the calls of a tenant apart. False after Close().
  bool Push(const std::string& tenant, const void* call, Priority priority,
            absl::Time now, Item item) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    Tenant& owner = tenants_[tenant];
    if (owner.queued == 0 && owner.taken == 0) owner.cost = Level(owner.cost);
    Class& level = owner.classes[static_cast<int>(priority)];
    if (level.calls.empty()) level.since = now;
    for (Call& waiting : level.calls) {
      if (waiting.key != call) continue;
      waiting.items.push_back(std::move(item));
      ++owner.queued;
      return true;
    }
    level.calls.push_back({call, {}});
    level.calls.back().items.push_back(std::move(item));
    ++owner.queued;
    return true;
  }

  // The next item; waits for one. Nothing once the queue is closed and empty.
  std::optional<Item> Pop() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &FairQueue::CanPop));
    return PopLocked(absl::Now());
  }

  // The next item, if there is one now.
  std::optional<Item> TryPop(absl::Time now) {
    absl::MutexLock lock(&mutex_);
    return PopLocked(now);
  }

  // At most `most` of the next items, for one batch of at most `full`. If the
  // first is of a tenant that could not fill such a batch, the others are of
  // such tenants too: who wants little need not wait until a batch is done that
  // others fill.
  std::vector<Item> TakeBatch(absl::Time now, size_t most, size_t full) {
    absl::MutexLock lock(&mutex_);
    std::vector<Item> taken;
    const auto small = [full](const Tenant& tenant) {
      return tenant.queued < static_cast<int64_t>(full);
    };
    const Tenant* const first = Next([](const Tenant&) { return true; });
    const bool small_only = first != nullptr && small(*first);
    while (taken.size() < most) {
      Tenant* const next = Next(
          [&](const Tenant& tenant) { return !small_only || small(tenant); });
      if (next == nullptr) break;
      taken.push_back(PopOf(next, now));
    }
    return taken;
  }

  // What an item of the tenant has cost, in seconds of the resource.
  void Charge(const std::string& tenant, absl::Duration cost) {
    absl::MutexLock lock(&mutex_);
    const auto owner = tenants_.find(tenant);
    if (owner == tenants_.end()) return;
    owner->second.cost += absl::ToDoubleSeconds(cost);
  }

  // An item that was taken is out of the way.
  void Release(const std::string& tenant) {
    absl::MutexLock lock(&mutex_);
    const auto owner = tenants_.find(tenant);
    PROMPTD_CHECK(owner != tenants_.end() && owner->second.taken > 0);
    --owner->second.taken;
    Forget();
  }

  // Nothing is pushed from now on; what is here can be popped.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    size_t sum = 0;
    for (const auto& [name, tenant] : tenants_) sum += tenant.queued;
    return sum;
  }

  // Tenants with items here or taken, and those that are remembered.
  size_t tenants() const {
    absl::MutexLock lock(&mutex_);
    return tenants_.size();
  }

  // How many items are served before the last of `more` that the tenant would
  // push now, if all cost the same.
  int64_t Ahead(const std::string& tenant, int64_t more) const {
    absl::MutexLock lock(&mutex_);
    const auto own = tenants_.find(tenant);
    const int64_t mine = own == tenants_.end() ? 0 : own->second.queued;
    int64_t sum = mine;
    for (const auto& [name, other] : tenants_) {
      if (name == tenant) continue;
      sum += std::min<int64_t>(other.queued, mine + more);
    }
    return sum;
  }

 private:
  struct Call {
    const void* key;
    std::deque<Item> items;
  };
  struct Class {
    std::deque<Call> calls;
    absl::Time since;  // it was served last, or has not been empty
  };
  struct Tenant {
    double cost = 0;  // seconds
    int64_t queued = 0;
    int taken = 0;
    Class classes[kPriorities];
  };

  bool Eligible(const Tenant& tenant) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return tenant.queued > 0 && (closed_ || tenant.taken < max_taken_);
  }
  bool CanPop() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    bool empty = true;
    for (const auto& [name, tenant] : tenants_) {
      if (Eligible(tenant)) return true;
      empty = empty && tenant.queued == 0;
    }
    return closed_ && empty;
  }

  // Where a tenant that comes back starts.
  double Level(double own) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    double least = std::numeric_limits<double>::infinity();
    for (const auto& [name, tenant] : tenants_) {
      if (tenant.queued > 0 || tenant.taken > 0) {
        least = std::min(least, tenant.cost);
      }
    }
    return std::max(
        own, least < std::numeric_limits<double>::infinity() ? least : floor_);
  }

  std::optional<Item> PopLocked(absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Tenant* const next = Next([](const Tenant&) { return true; });
    if (next == nullptr) return std::nullopt;
    return PopOf(next, now);
  }

  // Of the eligible tenants that `among` holds for, the one whose turn it is.
  template <typename Among>
  Tenant* Next(const Among& among) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Tenant* next = nullptr;
    for (auto& [name, tenant] : tenants_) {
      if (!Eligible(tenant) || !among(tenant)) continue;
      if (next != nullptr && tenant.cost >= next->cost) continue;
      next = &tenant;
    }
    return next;
  }

  Item PopOf(Tenant* next, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    floor_ = std::max(floor_, next->cost);
    Class& level = NextClass(next, now);
    level.since = now;
    Call call = std::move(level.calls.front());
    level.calls.pop_front();
    Item item = std::move(call.items.front());
    call.items.pop_front();
    if (!call.items.empty()) level.calls.push_back(std::move(call));
    --next->queued;
    ++next->taken;
    return item;
  }

  Class& NextClass(Tenant* tenant, absl::Time now) {
    Class* next = nullptr;
    Class* passed_over = nullptr;
    for (Class& level : tenant->classes) {  // the highest comes first
      if (level.calls.empty()) continue;
      if (next == nullptr) {
        next = &level;
      } else if (now - level.since >= kAgeing &&
                 (passed_over == nullptr || level.since < passed_over->since)) {
        passed_over = &level;
      }
    }
    if (passed_over != nullptr) return *passed_over;
    return *next;
  }

  // Drops the tenants that are away once there are many, at the price of the
  // dearest of them for who comes.
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (tenants_.size() <= kTenantsRemembered) return;
    for (auto tenant = tenants_.begin(); tenant != tenants_.end();) {
      const bool away = tenant->second.queued == 0 && tenant->second.taken == 0;
      if (away) floor_ = std::max(floor_, tenant->second.cost);
      tenant = away ? tenants_.erase(tenant) : std::next(tenant);
    }
  }

  const int max_taken_;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  double floor_ ABSL_GUARDED_BY(mutex_) = 0;  // cost of who was served last
  std::map<std::string, Tenant> tenants_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace promptd::worker
