// A worker inside this process: frozen encoders on one device, one device
// loop, a decode pool, classification and training jobs.
//
//   auto worker = LocalWorker::Create(options, &observer);
//   (*worker)->Start(&control);       // leases jobs from now on
//   (*worker)->Classify(call, done);  // any thread
//   (*worker)->Stop(absl::Now() + absl::Seconds(10));
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/precision.h"
#include "worker/control.h"
#include "worker/executor.h"
#include "worker/observer.h"

namespace promptd::worker {

struct LocalWorkerOptions {
  std::string id = "local";
  // Encoder folders; at least one.
  std::vector<std::string> encoder_dirs;
  // What their towers compute in, and where: "cpu" or "cuda:N", as
  // compute_device.h names it.
  Precision precision = Precision::kFloat32;
  std::string device = "cpu";
  // Threads that decode and resample images. 0: one per core, at most 4.
  int decode_threads = 0;
  // Images waiting for decode or encode, over all calls. A call that would
  // pass this gets UNAVAILABLE (QUEUE_FULL).
  int max_queued_images = 1024;
  // The same of one tenant's calls: RESOURCE_EXHAUSTED (TENANT_QUOTA).
  int max_queued_images_of_tenant = 512;
  // Their bytes, as files and as pixels; as above.
  int64_t max_queued_bytes = int64_t{1} << 30;
  // Texts waiting to be embedded, over all calls; as above.
  int max_queued_texts = 8192;
  // Images of one classification encode batch, and about how long it may take:
  // what an image waits for that comes when a batch has just begun.
  int max_batch = 32;
  absl::Duration max_batch_time = absl::Seconds(1);
  // Bytes of derived text features kept in memory.
  int64_t max_feature_cache_bytes = 256 << 20;
  // Bytes of versions' own image towers kept loaded; the last one always is.
  int64_t max_image_tower_bytes = int64_t{1} << 30;
  // Bytes of image features kept in memory. 0: every image is encoded.
  int64_t max_embedding_cache_bytes = 256 << 20;
  // Between two checkpoints of a running job.
  absl::Duration checkpoint_interval = absl::Seconds(5);
  // Between two heartbeats of a running job; a third of the lease or less.
  absl::Duration heartbeat_interval = absl::Seconds(1);
};

// Thread-safe.
class LocalWorker : public Executor {
 public:
  // Loads the encoders, runs each once on a fixed input and passes its
  // self-test. `observer` must outlive the worker. Errors as Encoder::Load,
  // naming the folder, and those of encoder_set.h.
  static absl::StatusOr<std::unique_ptr<LocalWorker>> Create(
      const LocalWorkerOptions& options, Observer* observer);

  ~LocalWorker() override = default;

  // Begins to serve and to lease jobs. `control` must outlive Stop().
  virtual void Start(Control* control) = 0;

  // Stops leasing, gives a running job back with a checkpoint, answers what is
  // queued (with an error once `deadline` has passed) and joins all threads.
  // Idempotent; the destructor does it with no grace.
  virtual void Stop(absl::Time deadline) = 0;
};

}  // namespace promptd::worker
