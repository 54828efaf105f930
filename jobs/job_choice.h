// Which job is leased next. Private to the room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobs/job_store.h"
#include "store/database.h"

namespace promptd::jobs {

// The due job for one of the encoders that JobStore::Lease describes; 0 when
// there is none.
absl::StatusOr<int64_t> FindDue(store::Transaction& tx,
                                const std::vector<std::string>& encoders,
                                const JobPolicy& policy, absl::Time now);

// The two ways to find it. The first asks for the oldest of each encoder and
// priority: where no tenant's job runs that would have to step back, that is
// the one, at a price that does not grow with the tenants that wait; without a
// value it cannot tell. The second looks at the first job of every tenant.
absl::StatusOr<std::optional<int64_t>> FindOldest(
    store::Transaction& tx, const std::vector<std::string>& encoders,
    const JobPolicy& policy, absl::Time now);
absl::StatusOr<int64_t> FindFairest(store::Transaction& tx,
                                    const std::vector<std::string>& encoders,
                                    const JobPolicy& policy, absl::Time now);

}  // namespace promptd::jobs
