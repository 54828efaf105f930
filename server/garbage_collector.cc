#include "server/garbage_collector.h"

#include <string>

#include "absl/cleanup/cleanup.h"
#include "common/error.h"
#include "common/log.h"
#include "prometheus/family.h"

namespace promptd::server {
namespace {

prometheus::Counter& Counter(prometheus::Registry* metrics, const char* name,
                             const char* help,
                             const prometheus::Labels& labels = {}) {
  return prometheus::BuildCounter()
      .Name(name)
      .Help(help)
      .Register(*metrics)
      .Add(labels);
}

constexpr char kCollections[] = "promptd_garbage_collections_total";
constexpr char kCollectionsHelp[] =
    "Garbage collections that ended, dry runs left out.";

}  // namespace

GarbageCollector::GarbageCollector(store::Database* db, store::BlobStore* blobs,
                                   const Clock* clock,
                                   prometheus::Registry* metrics,
                                   absl::Duration keep_features)
    : db_(db),
      blobs_(blobs),
      clock_(clock),
      keep_features_(keep_features),
      removed_blobs_(Counter(metrics, "promptd_garbage_removed_blobs_total",
                             "Blobs that garbage collection deleted.")),
      removed_bytes_(Counter(metrics, "promptd_garbage_removed_bytes_total",
                             "Bytes of the blobs that garbage collection "
                             "deleted.")),
      succeeded_(Counter(metrics, kCollections, kCollectionsHelp,
                         {{"result", "succeeded"}})),
      failed_(Counter(metrics, kCollections, kCollectionsHelp,
                      {{"result", "failed"}})) {}

GarbageCollector::~GarbageCollector() { Stop(); }

absl::StatusOr<registry::GarbageReport> GarbageCollector::Collect(
    bool dry_run, absl::Duration grace) {
  if (collecting_.exchange(true)) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     "COLLECTION_RUNNING",
                     "a garbage collection is running: wait for it to end");
  }
  const absl::Cleanup ended = [this] { collecting_ = false; };
  registry::GarbageOptions options;
  options.dry_run = dry_run;
  options.grace = grace;
  options.keep_features = keep_features_;
  options.stop = [this] {
    absl::MutexLock lock(&mutex_);
    return stopped_;
  };
  return CollectAlone(options);
}

absl::StatusOr<registry::GarbageReport> GarbageCollector::CollectAlone(
    const registry::GarbageOptions& options) {
  absl::StatusOr<registry::GarbageReport> report =
      registry::CollectGarbage(db_, blobs_, *clock_, options);
  if (options.dry_run) return report;
  if (!report.ok()) {
    failed_.Increment();
    LogEvent(spdlog::level::err, "garbage_collection_failed",
             {{"reason", ErrorReason(report.status())},
              {"error", std::string(report.status().message())}});
    return report;
  }
  succeeded_.Increment();
  removed_blobs_.Increment(static_cast<double>(report->garbage.blobs));
  removed_bytes_.Increment(static_cast<double>(report->garbage.bytes));
  if (report->garbage.blobs + report->features > 0) {
    LogEvent(spdlog::level::info, "garbage_collected",
             {{"blobs", report->garbage.blobs},
              {"bytes", report->garbage.bytes},
              {"features_forgotten", report->features}});
  }
  return report;
}

void GarbageCollector::Start(absl::Duration interval) {
  thread_ = std::thread([this, interval] { Run(interval); });
}

void GarbageCollector::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void GarbageCollector::Run(absl::Duration interval) {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&stopped_), interval);
      if (stopped_) return;
    }
    // Where somebody else collects just now, that will do; errors are logged.
    Collect(/*dry_run=*/false, registry::GarbageOptions().grace)
        .status()
        .IgnoreError();
  }
}

}  // namespace promptd::server
