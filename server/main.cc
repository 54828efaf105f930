// promptd: options, build, wait.
#include <unistd.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/process.h"
#include "common/scheduling.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"
#include "server/options.h"
#include "server/server.h"
#include "wire/program_flags.h"
#include "worker/local_worker.h"

namespace {

using promptd::FormatAddress;
using promptd::LogEvent;
using promptd::server::ProgramOptions;
using promptd::server::Server;
using promptd::worker::LocalWorker;

absl::Status AnnounceReady(const ProgramOptions& options,
                           const Server& server) {
  nlohmann::json ready = {{"listen", FormatAddress(server.listen_address())},
                          {"http", ""},
                          {"workers", ""},
                          {"pid", ::getpid()}};
  if (const auto http = server.http_address()) {
    ready["http"] = FormatAddress(*http);
  }
  if (const auto workers = server.worker_address()) {
    ready["workers"] = FormatAddress(*workers);
  }
  if (!options.ready_file.empty()) {
    RETURN_IF_ERROR(
        promptd::WriteFileAtomically(options.ready_file, ready.dump() + "\n"));
  }
  LogEvent(spdlog::level::info, "ready", ready);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<LocalWorker>> MakeWorker(
    const ProgramOptions& options, Server* server) {
  ASSIGN_OR_RETURN(promptd::worker::LocalWorkerOptions worker_options,
                   promptd::wire::ConfigureWorker(options));
  worker_options.encoder_dirs = options.encoder_dirs;
  return LocalWorker::Create(worker_options, server->observer());
}

absl::Status Run(const ProgramOptions& options,
                 const promptd::StopSignals& stop) {
  RETURN_IF_ERROR(promptd::ArmFailpointsFromEnvironment());
  promptd::server::ServerOptions server_options;
  server_options.data_dir = options.data_dir;
  server_options.listen = options.listen;
  server_options.http = options.http;
  server_options.lease = options.lease;
  server_options.default_encoder = options.default_encoder;
  if (options.worker_listen) {
    server_options.workers =
        promptd::server::WorkerGatewayOptions{.listen = *options.worker_listen,
                                              .token = *options.worker_token,
                                              .tls = options.worker_tls};
  }
  server_options.max_blob_bytes = options.max_blob_bytes;
  server_options.tenant_running_jobs = options.tenant_running_jobs;
  server_options.gc_interval = options.gc_interval;
  server_options.feature_retention = options.feature_retention;
  server_options.max_database_cache_bytes = options.max_database_cache_bytes;
  server_options.allow_network_file_system = options.allow_network_file_system;
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                   Server::Create(server_options, promptd::Clock::Real()));
  std::unique_ptr<LocalWorker> worker;
  if (options.local_worker) {
    ASSIGN_OR_RETURN(worker, MakeWorker(options, server.get()));
    worker->Start(server->control());
  }
  absl::Status status = server->Start(worker.get());
  if (status.ok()) status = AnnounceReady(options, *server);
  if (status.ok()) stop.Wait();
  const absl::Time deadline = absl::Now() + options.grace;
  server->Shutdown(deadline);
  if (worker != nullptr) worker->Stop(deadline);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  ProgramOptions options;
  if (const auto code =
          promptd::server::ParseProgramOptions(argc, argv, &options)) {
    return *code;
  }
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
    std::cerr << promptd::wire::FormatStartError(status);
    return 1;
  }
  LogEvent(spdlog::level::info, "stopped", nlohmann::json::object());
  return 0;
}
