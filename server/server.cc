#include "server/server.h"

#include <atomic>
#include <utility>

#include "common/check.h"
#include "common/error.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "metrics/http_server.h"
#include "metrics/worker_metrics.h"
#include "server/archive_service.h"
#include "server/backend.h"
#include "server/classify_service.h"
#include "server/dataset_service.h"
#include "server/encoder_service.h"
#include "server/fleet.h"
#include "server/garbage_collector.h"
#include "server/grpc_listener.h"
#include "server/inference_service.h"
#include "server/local_control.h"
#include "server/metrics.h"
#include "server/prompt_service.h"
#include "server/server_service.h"
#include "server/spec_resolver.h"
#include "server/storage_service.h"
#include "server/training_service.h"
#include "server/upkeep.h"
#include "server/version_pins.h"
#include "server/watch_loop.h"
#include "server/worker_gateway.h"
#include "store/blob_store.h"
#include "store/database.h"
#include "store/sqlite_database.h"
#include "wire/routed_executor.h"

namespace promptd::server {
namespace {

// A client that goes away forgets its pushes; what it stored stays.
registry::PushLimits PushPolicy() {
  return {.max_pushes = 64, .max_pushes_tenant = 64, .ttl = absl::Minutes(15)};
}

// The services, made once the executor is known.
struct Services {
  Services(const Backend* backend, WatchLoop* watches)
      : server(backend),
        encoder(backend),
        dataset(backend),
        training(backend, watches),
        prompt(backend),
        classify(backend),
        inference(backend),
        storage(backend),
        archive(backend) {}

  ServerServiceImpl server;
  EncoderServiceImpl encoder;
  DatasetServiceImpl dataset;
  TrainingServiceImpl training;
  PromptServiceImpl prompt;
  ClassifyServiceImpl classify;
  InferenceServiceImpl inference;
  StorageServiceImpl storage;
  ArchiveServiceImpl archive;
};

class ServerImpl : public Server {
 public:
  ServerImpl(const ServerOptions& options, const Clock* clock,
             std::unique_ptr<store::Database> db,
             std::unique_ptr<store::BlobStore> blobs)
      : options_(options),
        db_(std::move(db)),
        blobs_(std::move(blobs)),
        jobs_(db_.get(), clock,
              {.max_unfinished = options.limits.max_unfinished_jobs,
               .max_running_tenant = options.tenant_running_jobs}),
        registry_(db_.get(), blobs_.get(), clock, PushPolicy()),
        pins_(&registry_.prompts()),
        metrics_(PROMPTD_VERSION),
        worker_metrics_(metrics_.registry()),
        fleet_metrics_(metrics_.registry()),
        garbage_(db_.get(), blobs_.get(), clock, &metrics_.registry(),
                 options.feature_retention),
        pool_(options.pool_threads, options.pool_queue),
        watches_(&jobs_, options.limits.max_watchers),
        control_(&backend_, options.lease) {
    backend_.db = db_.get();
    backend_.blobs = blobs_.get();
    backend_.jobs = &jobs_;
    backend_.registry = &registry_;
    backend_.pins = &pins_;
    backend_.metrics = &metrics_;
    backend_.garbage = &garbage_;
    backend_.pool = &pool_;
    backend_.clock = clock;
    backend_.limits = options.limits;
    backend_.version = PROMPTD_VERSION;
    backend_.worker_id = options.worker_id;
    backend_.start_time = clock->Now();
  }

  ~ServerImpl() override { Shutdown(absl::InfinitePast()); }

  absl::Status Recover() {
    ASSIGN_OR_RETURN(const int requeued,
                     jobs_.RequeueRunningOf(options_.worker_id));
    ASSIGN_OR_RETURN(const int extended, jobs_.ExtendLeases(options_.lease));
    if (requeued + extended > 0) {
      LogEvent(spdlog::level::warn, "jobs_requeued",
               {{"jobs", requeued}, {"running_elsewhere", extended}});
    }
    return absl::OkStatus();
  }

  worker::Control* control() override { return &control_; }
  worker::Observer* observer() override { return &worker_metrics_; }

  absl::Status Start(worker::Executor* executor) override {
    PROMPTD_CHECK(services_ == nullptr);
    backend_.local = executor;
    backend_.executor = executor;
    if (options_.workers) OpenGateway(executor);
    PROMPTD_CHECK(backend_.executor != nullptr);
    RETURN_IF_ERROR(FindEncoders());
    services_ = std::make_unique<Services>(&backend_, &watches_);
    metrics_.AddRefresher([this] { RefreshMetrics(); });
    if (gateway_ != nullptr) RETURN_IF_ERROR(gateway_->Listen());
    ASSIGN_OR_RETURN(
        listener_,
        GrpcListener::Start(
            options_.listen, options_.limits,
            {&services_->server, &services_->encoder, &services_->dataset,
             &services_->training, &services_->prompt, &services_->classify,
             &services_->inference, &services_->storage, &services_->archive}));
    if (options_.http) {
      ASSIGN_OR_RETURN(http_,
                       metrics::HttpServer::Start(
                           options_.http->host, options_.http->port,
                           {.metrics = [this] { return metrics_.Render(); },
                            .healthy = [this] { return Healthy(); }}));
    }
    upkeep_ = std::make_unique<Upkeep>(&jobs_, options_.lease / 3);
    if (options_.gc_interval > absl::ZeroDuration()) {
      garbage_.Start(options_.gc_interval);
    }
    serving_ = true;
    listener_->SetServing(true);
    return absl::OkStatus();
  }

  Address listen_address() const override {
    return {options_.listen.host, listener_ == nullptr ? 0 : listener_->port()};
  }

  std::optional<Address> http_address() const override {
    if (http_ == nullptr) return std::nullopt;
    return Address{options_.http->host, http_->port()};
  }

  std::optional<Address> worker_address() const override {
    if (gateway_ == nullptr) return std::nullopt;
    return gateway_->address();
  }

  void Shutdown(absl::Time deadline) override {
    absl::MutexLock lock(&shutdown_mutex_);
    serving_ = false;
    if (listener_ == nullptr || shut_down_) return;
    shut_down_ = true;
    listener_->SetServing(false);
    watches_.Drain();
    services_->inference.Drain();
    services_->classify.Drain();
    listener_->Shutdown(deadline);
    if (gateway_ != nullptr) gateway_->Shutdown(deadline);
    upkeep_.reset();
    garbage_.Stop();
  }

 private:
  void OpenGateway(worker::Executor* local) {
    gateway_ = std::make_unique<WorkerGateway>(*options_.workers, &backend_,
                                               &control_, options_.lease);
    router_ =
        std::make_unique<wire::RoutedExecutor>(local, &gateway_->registry());
    backend_.executor = router_.get();
    backend_.router = router_.get();
    backend_.workers = &gateway_->registry();
  }

  // The encoders' names for later messages, and the default one.
  absl::Status FindEncoders() {
    backend_.default_encoder = options_.default_encoder;
    if (backend_.local == nullptr) return absl::OkStatus();
    const auto encoders = backend_.executor->Encoders();
    for (const worker::EncoderDescription& encoder : encoders) {
      RETURN_IF_ERROR(
          registry_.prompts().RecordEncoder(encoder.digest, encoder.name));
    }
    return FindEncoder(backend_, "").status();
  }

  bool Healthy() const { return serving_ && backend_.executor->Ready(); }

  void RefreshMetrics() {
    metrics_.SetReady(Healthy());
    fleet_metrics_.Set(Fleet(backend_));
    const auto counts = jobs_.CountByState();
    if (!counts.ok()) return;
    for (const jobs::JobState state : jobs::kAllJobStates) {
      metrics_.SetJobs(
          std::string(jobs::JobStateName(state)),
          static_cast<double>((*counts)[static_cast<size_t>(state)]));
    }
  }

  // Destroyed from the last to the first: listeners, then what they use.
  const ServerOptions options_;
  Backend backend_;
  std::unique_ptr<store::Database> db_;
  std::unique_ptr<store::BlobStore> blobs_;
  jobs::JobStore jobs_;
  registry::Registry registry_;
  VersionPins pins_;
  Metrics metrics_;
  metrics::WorkerMetrics worker_metrics_;
  FleetMetrics fleet_metrics_;
  GarbageCollector garbage_;
  WorkPool pool_;
  WatchLoop watches_;
  LocalControl control_;
  std::unique_ptr<WorkerGateway> gateway_;
  std::unique_ptr<wire::RoutedExecutor> router_;
  std::unique_ptr<Services> services_;
  std::atomic<bool> serving_ = false;
  absl::Mutex shutdown_mutex_;
  bool shut_down_ ABSL_GUARDED_BY(shutdown_mutex_) = false;
  std::unique_ptr<Upkeep> upkeep_;
  std::unique_ptr<GrpcListener> listener_;
  std::unique_ptr<metrics::HttpServer> http_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Create(
    const ServerOptions& options, const Clock* clock) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<store::Database> db,
      store::OpenSqlite(
          {.data_dir = options.data_dir,
           .allow_network_file_system = options.allow_network_file_system,
           .max_cache_bytes = options.max_database_cache_bytes},
          clock));
  ASSIGN_OR_RETURN(
      std::unique_ptr<store::BlobStore> blobs,
      store::BlobStore::Open(options.data_dir + "/blobs",
                             {.max_bytes = options.max_blob_bytes}));
  auto server = std::make_unique<ServerImpl>(options, clock, std::move(db),
                                             std::move(blobs));
  RETURN_IF_ERROR(server->Recover());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace promptd::server
