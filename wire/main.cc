// promptd-worker: options, build, wait.
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/process.h"
#include "common/scheduling.h"
#include "common/status_macros.h"
#include "common/work_pool.h"
#include "metrics/worker_pages.h"
#include "nlohmann/json.hpp"
#include "wire/attachment.h"
#include "wire/blob_cache.h"
#include "wire/channel.h"
#include "wire/control_client.h"
#include "wire/executor_service.h"
#include "wire/listener.h"
#include "wire/options.h"
#include "wire/program_flags.h"
#include "worker/local_worker.h"

namespace {

using namespace promptd::wire;  // NOLINT: this program is that room's
using promptd::LogEvent;
using promptd::worker::LocalWorker;

constexpr int kThreads = 4;
constexpr size_t kQueue = 1024;

// Why the front end refused us, if it did.
class Refusal {
 public:
  // Ends the program as a signal would.
  void Set(const absl::Status& why) {
    absl::MutexLock lock(&mutex_);
    why_ = why;
    ::kill(::getpid(), SIGTERM);
  }
  absl::Status Get() {
    absl::MutexLock lock(&mutex_);
    return why_;
  }

 private:
  absl::Mutex mutex_;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

absl::Status AnnounceReady(const WorkerOptions& options,
                           const WorkerHello& hello, int http_port) {
  nlohmann::json ready = {
      {"listen", hello.address}, {"id", hello.id}, {"pid", ::getpid()}};
  if (options.http) {
    ready["http"] = promptd::FormatAddress({options.http->host, http_port});
  }
  if (!options.ready_file.empty()) {
    RETURN_IF_ERROR(
        promptd::WriteFileAtomically(options.ready_file, ready.dump() + "\n"));
  }
  LogEvent(spdlog::level::info, "ready", ready);
  return absl::OkStatus();
}

WorkerHello Introduce(const WorkerOptions& options, int port,
                      const LocalWorker& worker) {
  WorkerHello hello;
  hello.id = options.id.empty() ? DefaultWorkerId(port) : options.id;
  hello.address = options.advertise;
  if (hello.address.empty()) {
    hello.address = promptd::FormatAddress({options.listen.host, port});
  }
  hello.version = PROMPTD_VERSION;
  hello.encoders = worker.Encoders();
  return hello;
}

absl::Status Run(const WorkerOptions& options,
                 const promptd::StopSignals& stop) {
  RETURN_IF_ERROR(promptd::ArmFailpointsFromEnvironment());
  promptd::metrics::WorkerPages pages;
  ASSIGN_OR_RETURN(promptd::worker::LocalWorkerOptions worker_options,
                   ConfigureWorker(options));
  worker_options.encoder_dirs = options.encoder_dirs;
  worker_options.checkpoint_interval = options.checkpoint_interval;
  ASSIGN_OR_RETURN(const std::unique_ptr<BlobCache> cache,
                   BlobCache::Open(options.data_dir + "/worker-blobs",
                                   options.blob_cache_bytes));
  const auto channel =
      Connect(promptd::FormatAddress(options.frontend), options.tls);
  ControlClient control({.shared_blobs = options.blobs_dir}, channel,
                        *options.token, cache.get());
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalWorker> worker,
                   LocalWorker::Create(worker_options, pages.observer()));
  auto pool = std::make_unique<promptd::WorkPool>(kThreads, kQueue);
  const auto table = MakeExecutorService(
      *options.token,
      [&pool](std::function<void()> task) {
        return pool->TrySubmit(std::move(task));
      },
      worker.get());
  ASSIGN_OR_RETURN(const std::unique_ptr<Listener> listener,
                   Listener::Start(options.listen, options.tls, table.get()));
  const WorkerHello hello = Introduce(options, listener->port(), *worker);
  worker->Start(&control);
  Refusal refusal;
  Attachment attachment(
      {}, channel, *options.token, hello, &control,
      [&worker] { return worker->Ready(); },
      [&refusal](const absl::Status& why) { refusal.Set(why); });
  absl::Status status;
  if (options.http) {
    status = pages.Serve(*options.http, [&] {
      return worker->Ready() &&
             attachment.WaitUntilAttached(absl::InfinitePast());
    });
  }
  if (status.ok()) status = AnnounceReady(options, hello, pages.port());
  if (status.ok()) stop.Wait();
  // In this order: no new calls, the old ones, the job, the stream.
  const absl::Time deadline = absl::Now() + options.grace;
  attachment.Drain();
  control.StopRetrying();
  listener->Shutdown(deadline);
  pool.reset();
  worker->Stop(deadline);
  attachment.Stop();
  pages.StopServing();
  status.Update(refusal.Get());
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  WorkerOptions options;
  if (const auto code = ParseWorkerOptions(argc, argv, &options)) return *code;
  const promptd::Log log(options.log_level);
  promptd::RaiseFileLimit();
  promptd::AnswerPromptly();
  promptd::UsePlainMutexes();
  const promptd::StopSignals stop;
  absl::Status status;
  try {
    status = Run(options, stop);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  if (!status.ok()) {
    std::cerr << FormatStartError(status);
    return 1;
  }
  LogEvent(spdlog::level::info, "stopped", nlohmann::json::object());
  return 0;
}
