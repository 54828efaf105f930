// Which job is leased next. Private to the room.
#pragma once

#include <cstdint>
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

}  // namespace promptd::jobs
