#include "jobs/job_choice.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "absl/algorithm/container.h"
#include "common/status_macros.h"

namespace promptd::jobs {
namespace {

using store::Row;
using store::Transaction;

// The first of a tenant, an encoder and a priority.
struct Candidate {
  int64_t priority = 0;  // risen
  int64_t running = 0;   // of its tenant
  int64_t run_at = 0;
  int64_t id = 0;
};

bool Before(const Candidate& a, const Candidate& b) {
  return std::tie(a.priority, a.running, a.run_at, a.id) <
         std::tie(b.priority, b.running, b.run_at, b.id);
}

// The first job of the tenant, encoder and priority that come next in the
// index: one step of it, however many jobs wait. The largest run_at and the
// name of the index are what makes SQLite jump over the others instead of
// reading them.
constexpr char kFirstOfNext[] =
    "SELECT tenant, encoder_digest, priority, run_at, id"
    " FROM job INDEXED BY job_claim WHERE state='queued'"
    " AND (tenant, encoder_digest, priority, run_at)"
    ">(?, ?, ?, 9223372036854775807)"
    " ORDER BY tenant, encoder_digest, priority, run_at, id LIMIT 1";

absl::StatusOr<std::map<std::string, int64_t>> RunningJobs(Transaction& tx) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT tenant, COUNT(*) FROM job"
                            " WHERE state='running' GROUP BY tenant",
                            {}));
  std::map<std::string, int64_t> running;
  for (const Row& row : rows) running[row.Text(0)] = row.Int(1);
  return running;
}

int64_t RisenPriority(int64_t priority, absl::Time run_at,
                      const JobPolicy& policy, absl::Time now) {
  const int64_t steps =
      (now - run_at) / std::max(policy.rise_after, absl::Seconds(1));
  return std::max<int64_t>(1, priority - steps);
}

// The oldest of an encoder and a priority.
constexpr char kOldest[] =
    "SELECT tenant, run_at, id FROM job INDEXED BY job_oldest"
    " WHERE state='queued' AND encoder_digest=? AND priority=?"
    " ORDER BY run_at, id LIMIT 1";

constexpr Priority kPriorities[] = {Priority::kInteractive, Priority::kNormal,
                                    Priority::kBatch};

}  // namespace

absl::StatusOr<std::optional<int64_t>> FindOldest(
    Transaction& tx, const std::vector<std::string>& encoders,
    const JobPolicy& policy, absl::Time now) {
  std::optional<Candidate> best;
  std::string tenant;
  for (const std::string& encoder : encoders) {
    for (const Priority of : kPriorities) {
      const auto priority = static_cast<int64_t>(of);
      ASSIGN_OR_RETURN(const std::vector<Row> rows,
                       tx.Query(kOldest, {encoder, priority}));
      if (rows.empty() || rows[0].Time(1) > now) continue;
      const Candidate oldest = {
          RisenPriority(priority, rows[0].Time(1), policy, now), 0,
          rows[0].Int(1), rows[0].Int(2)};
      if (best && !Before(oldest, *best)) continue;
      best = oldest;
      tenant = rows[0].Text(0);
    }
  }
  if (!best) return std::optional<int64_t>(0);  // nothing is due
  ASSIGN_OR_RETURN(const std::vector<Row> running,
                   tx.Query("SELECT 1 FROM job WHERE state='running' AND"
                            " tenant=? LIMIT 1",
                            {tenant}));
  return running.empty() ? std::optional<int64_t>(best->id) : std::nullopt;
}

absl::StatusOr<int64_t> FindFairest(Transaction& tx,
                                    const std::vector<std::string>& encoders,
                                    const JobPolicy& policy, absl::Time now) {
  std::optional<std::map<std::string, int64_t>> running;
  std::optional<Candidate> best;
  std::string tenant;
  std::string encoder;
  int64_t priority = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<Row> rows,
                     tx.Query(kFirstOfNext, {tenant, encoder, priority}));
    if (rows.empty()) return best ? best->id : 0;
    tenant = rows[0].Text(0);
    encoder = rows[0].Text(1);
    priority = rows[0].Int(2);
    const absl::Time run_at = rows[0].Time(3);
    if (run_at > now || !absl::c_linear_search(encoders, encoder)) continue;
    if (!running) {
      ASSIGN_OR_RETURN(running, RunningJobs(tx));
    }
    const int64_t busy = (*running)[tenant];
    if (policy.max_running_tenant > 0 && busy >= policy.max_running_tenant) {
      continue;
    }
    const Candidate first = {RisenPriority(priority, run_at, policy, now), busy,
                             rows[0].Int(3), rows[0].Int(4)};
    if (!best || Before(first, *best)) best = first;
  }
}

absl::StatusOr<int64_t> FindDue(Transaction& tx,
                                const std::vector<std::string>& encoders,
                                const JobPolicy& policy, absl::Time now) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> id,
                   FindOldest(tx, encoders, policy, now));
  if (id) return *id;
  return FindFairest(tx, encoders, policy, now);
}

}  // namespace promptd::jobs
