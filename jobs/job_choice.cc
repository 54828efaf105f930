#include "jobs/job_choice.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "common/status_macros.h"

namespace promptd::jobs {
namespace {

using store::Row;
using store::Transaction;

constexpr Priority kPriorities[] = {Priority::kInteractive, Priority::kNormal,
                                    Priority::kBatch};

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

// From one tenant to the next over the index, without reading their jobs.
absl::StatusOr<std::vector<std::string>> WaitingTenants(Transaction& tx) {
  std::vector<std::string> tenants;
  while (true) {
    ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        tx.Query("SELECT tenant FROM job WHERE state='queued' AND tenant>?"
                 " ORDER BY tenant LIMIT 1",
                 {tenants.empty() ? std::string() : tenants.back()}));
    if (rows.empty()) return tenants;
    tenants.push_back(rows[0].Text(0));
  }
}

absl::StatusOr<std::map<std::string, int64_t>> RunningJobs(Transaction& tx) {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   tx.Query("SELECT tenant, COUNT(*) FROM job"
                            " WHERE state='running' GROUP BY tenant",
                            {}));
  std::map<std::string, int64_t> running;
  for (const Row& row : rows) running[row.Text(0)] = row.Int(1);
  return running;
}

absl::StatusOr<std::optional<Candidate>> FirstOf(
    Transaction& tx, const std::string& tenant, const std::string& encoder,
    Priority priority, const JobPolicy& policy, absl::Time now) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tx.Query("SELECT id, run_at FROM job WHERE state='queued' AND tenant=?"
               " AND encoder_digest=? AND priority=? AND run_at<=?"
               " ORDER BY run_at, id LIMIT 1",
               {tenant, encoder, static_cast<int>(priority), now}));
  if (rows.empty()) return std::optional<Candidate>();
  Candidate first;
  first.id = rows[0].Int(0);
  first.run_at = rows[0].Int(1);
  const int64_t steps =
      (now - rows[0].Time(1)) / std::max(policy.rise_after, absl::Seconds(1));
  first.priority = std::max<int64_t>(1, static_cast<int64_t>(priority) - steps);
  return std::optional<Candidate>(first);
}

}  // namespace

absl::StatusOr<int64_t> FindDue(Transaction& tx,
                                const std::vector<std::string>& encoders,
                                const JobPolicy& policy, absl::Time now) {
  if (encoders.empty()) return 0;
  ASSIGN_OR_RETURN(const std::vector<std::string> tenants, WaitingTenants(tx));
  if (tenants.empty()) return 0;
  ASSIGN_OR_RETURN(auto running, RunningJobs(tx));
  std::optional<Candidate> best;
  for (const std::string& tenant : tenants) {
    const int64_t busy = running[tenant];
    if (policy.max_running_tenant > 0 && busy >= policy.max_running_tenant) {
      continue;
    }
    for (const std::string& encoder : encoders) {
      for (const Priority priority : kPriorities) {
        ASSIGN_OR_RETURN(std::optional<Candidate> first,
                         FirstOf(tx, tenant, encoder, priority, policy, now));
        if (!first) continue;
        first->running = busy;
        if (!best || Before(*first, *best)) best = first;
      }
    }
  }
  return best ? best->id : 0;
}

}  // namespace promptd::jobs
