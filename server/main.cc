// promptd: options, build, wait.
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/log.h"
#include "server/options.h"
#include "server/server.h"
#include "worker/compute_device.h"
#include "worker/local_worker.h"
#include "worker/runtime.h"

namespace {

using promptd::server::FormatAddress;
using promptd::server::LogEvent;
using promptd::server::ProgramOptions;
using promptd::server::Server;

// As many open files as the system lets us have: each client is one.
void RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// SIGINT and SIGTERM go to WaitForStop; call before any thread is made.
sigset_t HoldStopSignals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return stop;
}

void WaitForStop(const sigset_t& stop) {
  int signal = 0;
  while (::sigwait(&stop, &signal) != 0) {
  }
  LogEvent(spdlog::level::info, "stopping", {{"signal", signal}});
  // A second signal ends the process at once.
  ::pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
}

absl::Status AnnounceReady(const ProgramOptions& options,
                           const Server& server) {
  nlohmann::json ready = {{"listen", FormatAddress(server.listen_address())},
                          {"http", ""},
                          {"pid", ::getpid()}};
  if (const auto http = server.http_address()) {
    ready["http"] = FormatAddress(*http);
  }
  if (!options.ready_file.empty()) {
    RETURN_IF_ERROR(
        promptd::WriteFileAtomically(options.ready_file, ready.dump() + "\n"));
  }
  LogEvent(spdlog::level::info, "ready", ready);
  return absl::OkStatus();
}

absl::Status Run(const ProgramOptions& options, const sigset_t& stop) {
  promptd::worker::ConfigureCompute({.threads = options.threads});
  ASSIGN_OR_RETURN(const promptd::worker::ComputeDevice device,
                   promptd::worker::FindComputeDevice(options.device));
  LogEvent(spdlog::level::info, "device",
           {{"name", device.name},
            {"model", device.model},
            {"memory_bytes", device.memory_bytes}});
  promptd::server::ServerOptions server_options;
  server_options.data_dir = options.data_dir;
  server_options.listen = options.listen;
  server_options.http = options.http;
  server_options.lease = options.lease;
  server_options.default_encoder = options.default_encoder;
  server_options.max_blob_bytes = options.max_blob_bytes;
  server_options.tenant_running_jobs = options.tenant_running_jobs;
  server_options.allow_network_file_system = options.allow_network_file_system;
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                   Server::Create(server_options, promptd::Clock::Real()));
  promptd::worker::LocalWorkerOptions worker_options;
  worker_options.encoder_dirs = options.encoder_dirs;
  worker_options.precision = options.precision;
  worker_options.device = device.name;
  worker_options.max_embedding_cache_bytes = options.embedding_cache_bytes;
  worker_options.max_batch = options.max_batch;
  worker_options.max_batch_time = options.max_batch_time;
  worker_options.max_queued_images = options.queue_images;
  worker_options.max_queued_images_of_tenant = options.tenant_queue_images;
  if (options.precision == promptd::Precision::kBFloat16 &&
      !device.fast_bfloat16) {
    LogEvent(spdlog::level::warn, "slow_precision",
             {{"message",
               "this device has no bfloat16 instructions: expect float32 "
               "to be faster"}});
  }
  worker_options.heartbeat_interval =
      std::min(worker_options.heartbeat_interval, options.lease / 3);
  ASSIGN_OR_RETURN(
      const std::unique_ptr<promptd::worker::LocalWorker> worker,
      promptd::worker::LocalWorker::Create(worker_options, server->observer()));
  worker->Start(server->control());
  absl::Status status = server->Start(worker.get());
  if (status.ok()) status = AnnounceReady(options, *server);
  if (status.ok()) WaitForStop(stop);
  const absl::Time deadline = absl::Now() + options.grace;
  server->Shutdown(deadline);
  worker->Stop(deadline);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  ProgramOptions options;
  if (const auto code =
          promptd::server::ParseProgramOptions(argc, argv, &options)) {
    return *code;
  }
  promptd::server::ConfigureLog(options.log_level);
  RaiseFileLimit();
  const sigset_t stop = HoldStopSignals();
  absl::Status status;
  try {
    status = Run(options, stop);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
  if (!status.ok()) {
    std::cerr << promptd::server::FormatStartError(status);
    return 1;
  }
  LogEvent(spdlog::level::info, "stopped", nlohmann::json::object());
  return 0;
}
