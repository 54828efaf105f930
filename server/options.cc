#include "server/options.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/limits.h"
#include "store/sqlite_database.h"
#include "weights/encoder_places.h"
#include "wire/program_flags.h"

namespace promptd::server {
namespace {

// As typed, before it is understood.
struct RawOptions {
  std::string data_dir;
  std::string listen = "127.0.0.1:7080";
  std::string http = "127.0.0.1:7081";
  std::vector<std::string> encoders;
  std::string default_encoder;
  std::string ready_file;
  std::string grace = "10s";
  std::string lease = "15s";
  std::string worker_listen;
  std::string worker_token_file;
  wire::TlsFlags worker_tls;
  bool no_local_worker = false;
  wire::TuningFlags tuning;
  int64_t max_blob_bytes = 0;
  int tenant_running_jobs = 0;
  int64_t database_cache_bytes = store::kDefaultCacheBytes;
  std::string gc_interval = "1h";
  std::string feature_retention = "168h";
  bool allow_network_file_system = false;
  bool insecure_allow_remote = false;
  std::string log_level = "info";
};

std::string Footer() {
  const Limits limits;
  return absl::StrCat(
      "Limits: ", limits.max_image_bytes >> 20, " MiB, ", limits.max_image_side,
      " pixels a side and ", limits.max_image_pixels / 1'000'000,
      " megapixels an image; ", limits.max_images_per_call, " images a call, ",
      limits.max_texts_per_call, " texts, ", limits.max_vectors_per_call,
      " context vectors, ", limits.max_tasks_per_call, " tasks; ",
      limits.max_stream_items, " unanswered items a classify stream; ",
      limits.max_message_bytes >> 20, " MiB a message; ", limits.max_classes,
      " classes and ", limits.max_dataset_images, " images a dataset; ",
      limits.max_context_tokens, " context tokens; ",
      limits.max_unfinished_jobs,
      " unfinished jobs.\n"
      "Stop with SIGTERM or Ctrl-C: a running job is given back with a "
      "checkpoint.\n"
      "Durations are like 500ms, 15s, 2m. Each option can be set as the "
      "environment variable beside it.");
}

void DeclarePlaces(RawOptions* raw, CLI::App* app) {
  app->add_option("--data-dir", raw->data_dir,
                  "Folder of the database and the blobs; made when missing. "
                  "Default: ~/.local/share/promptd")
      ->envname("PROMPTD_DATA_DIR");
  app->add_option("--listen", raw->listen,
                  "HOST:PORT of gRPC; port 0 takes a free one")
      ->envname("PROMPTD_LISTEN")
      ->capture_default_str();
  app->add_option("--http", raw->http,
                  "HOST:PORT of /metrics and /healthz; '' for none")
      ->envname("PROMPTD_HTTP")
      ->capture_default_str();
  app->add_option("--encoder", raw->encoders,
                  "Folder of an encoder; repeat for several. Default: those "
                  "imported into the data folder, and the embedded "
                  "demonstration encoder, from $PROMPTD_MODELS or beside the "
                  "program")
      ->envname("PROMPTD_ENCODER")
      ->expected(1)
      ->take_all();
  app->add_option("--default-encoder", raw->default_encoder,
                  "Name of the encoder for requests that name none. Default: "
                  "the first by name")
      ->envname("PROMPTD_DEFAULT_ENCODER");
  app->add_option("--ready-file", raw->ready_file,
                  "File that is written once requests are served: JSON with "
                  "listen, http and pid")
      ->envname("PROMPTD_READY_FILE");
}

void DeclareWorkers(RawOptions* raw, CLI::App* app) {
  app->add_option("--worker-listen", raw->worker_listen,
                  "HOST:PORT for workers on other machines (promptd-worker); "
                  "'' for none")
      ->envname("PROMPTD_WORKERS_LISTEN");
  app->add_option("--worker-token-file", raw->worker_token_file,
                  "File of the secret that workers show; nobody else on this "
                  "machine may read it")
      ->envname("PROMPTD_WORKERS_TOKEN_FILE");
  wire::DeclareTls("worker-", "PROMPTD_WORKERS", &raw->worker_tls, app);
  app->add_flag("--no-local-worker", raw->no_local_worker,
                "Compute nothing in this process: for a front end of workers "
                "on other machines")
      ->envname("PROMPTD_NO_LOCAL_WORKER");
}

void DeclareStorage(RawOptions* raw, CLI::App* app) {
  app->add_option("--max-blob-bytes", raw->max_blob_bytes,
                  "Disk that the blobs may take: images, features, "
                  "checkpoints, versions. What does not fit is refused; "
                  "garbage collection frees what is not needed. 0: no bound")
      ->envname("PROMPTD_MAX_BLOB_BYTES")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 60))
      ->capture_default_str();
  app->add_option("--database-cache-bytes", raw->database_cache_bytes,
                  "Memory that pages of the database may take")
      ->envname("PROMPTD_DATABASE_CACHE_BYTES")
      ->check(CLI::Range(int64_t{1} << 20, int64_t{1} << 40))
      ->capture_default_str();
  app->add_option("--gc-interval", raw->gc_interval,
                  "Time between two garbage collections, which delete blobs "
                  "that nothing has referred to for a day; 0: only when "
                  "`promptctl gc` asks for one")
      ->envname("PROMPTD_GC_INTERVAL")
      ->capture_default_str();
  app->add_option("--feature-retention", raw->feature_retention,
                  "Cached features of training images that no job has used for "
                  "so long become garbage, at least 1h; 0: never")
      ->envname("PROMPTD_FEATURE_RETENTION")
      ->capture_default_str();
  app->add_option("--tenant-running-jobs", raw->tenant_running_jobs,
                  "Jobs of one tenant that may run at once, on all workers "
                  "together; 0: no bound")
      ->envname("PROMPTD_TENANT_RUNNING_JOBS")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app->add_flag("--allow-network-file-system", raw->allow_network_file_system,
                "Keep the database on NFS, SMB or FUSE all the same, where "
                "locks and syncs may promise less than it needs")
      ->envname("PROMPTD_ALLOW_NETWORK_FILE_SYSTEM");
}

void DeclareRest(RawOptions* raw, CLI::App* app) {
  app->add_option("--grace", raw->grace,
                  "Time that running calls have at shutdown")
      ->envname("PROMPTD_GRACE")
      ->capture_default_str();
  app->add_option("--lease", raw->lease,
                  "Time after which a silent worker loses its job")
      ->envname("PROMPTD_LEASE")
      ->capture_default_str();
  wire::DeclareTuning("PROMPTD", &raw->tuning, app);
  app->add_flag("--insecure-allow-remote", raw->insecure_allow_remote,
                "Listen for clients beyond this machine although there is "
                "neither TLS nor a key: anybody who reaches the port is the "
                "owner. Workers too, without --worker-tls-ca")
      ->envname("PROMPTD_INSECURE_ALLOW_REMOTE");
  wire::DeclareLogLevel("PROMPTD", &raw->log_level, app);
}

absl::Status UnderstandWorkers(const RawOptions& raw, ProgramOptions* options) {
  options->local_worker = !raw.no_local_worker;
  options->worker_listen.reset();
  options->worker_token.reset();
  options->worker_tls.reset();
  if (raw.worker_listen.empty()) {
    if (options->local_worker) return absl::OkStatus();
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_WORKER_PORT",
                     "--no-local-worker leaves nobody who computes: let "
                     "workers in with --worker-listen");
  }
  ASSIGN_OR_RETURN(options->worker_tls,
                   wire::TlsIdentity::FromFlags("worker-", raw.worker_tls));
  ASSIGN_OR_RETURN(
      options->worker_listen,
      wire::ParseListener("--worker-listen", raw.worker_listen,
                          raw.insecure_allow_remote || options->worker_tls));
  if (raw.worker_token_file.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_WORKER_TOKEN",
                     "--worker-listen needs --worker-token-file, the file of "
                     "the secret that workers show: make one with `openssl "
                     "rand -hex 32 > FILE` after `umask 077`");
  }
  ASSIGN_OR_RETURN(options->worker_token,
                   wire::WorkerToken::FromFile(raw.worker_token_file));
  return absl::OkStatus();
}

// A duration from `least` to a year, or 0, which means `none`.
absl::StatusOr<absl::Duration> ParseOrNever(const std::string& flag,
                                            const std::string& text,
                                            absl::Duration least,
                                            absl::Duration none) {
  absl::Duration duration;
  const bool is_one = absl::ParseDuration(text, &duration);
  if (is_one && duration == absl::ZeroDuration()) return none;
  if (is_one && duration >= least && duration <= absl::Hours(24 * 365)) {
    return duration;
  }
  return MakeError(
      absl::StatusCode::kInvalidArgument, "INVALID_DURATION",
      absl::StrCat(flag, " ", text, ": give a duration from ",
                   absl::FormatDuration(least), " to 8760h, or 0 for never"));
}

absl::Status UnderstandStorage(const RawOptions& raw, ProgramOptions* options) {
  options->max_blob_bytes = raw.max_blob_bytes;
  options->max_database_cache_bytes = raw.database_cache_bytes;
  options->tenant_running_jobs = raw.tenant_running_jobs;
  options->allow_network_file_system = raw.allow_network_file_system;
  ASSIGN_OR_RETURN(options->gc_interval,
                   ParseOrNever("--gc-interval", raw.gc_interval,
                                absl::Seconds(1), absl::ZeroDuration()));
  ASSIGN_OR_RETURN(options->feature_retention,
                   ParseOrNever("--feature-retention", raw.feature_retention,
                                absl::Hours(1), absl::InfiniteDuration()));
  return absl::OkStatus();
}

absl::Status Understand(const RawOptions& raw, ProgramOptions* options) {
  options->data_dir = raw.data_dir;
  if (options->data_dir.empty()) {
    ASSIGN_OR_RETURN(options->data_dir, weights::DefaultDataDir());
  }
  ASSIGN_OR_RETURN(
      options->listen,
      wire::ParseListener("--listen", raw.listen, raw.insecure_allow_remote));
  options->http.reset();
  if (!raw.http.empty()) {
    ASSIGN_OR_RETURN(
        options->http,
        wire::ParseListener("--http", raw.http, raw.insecure_allow_remote));
  }
  RETURN_IF_ERROR(UnderstandWorkers(raw, options));
  options->encoder_dirs.clear();
  if (options->local_worker) {
    ASSIGN_OR_RETURN(options->encoder_dirs,
                     weights::EncoderPlaces(raw.encoders, options->data_dir));
  }
  options->default_encoder = raw.default_encoder;
  options->ready_file = raw.ready_file;
  ASSIGN_OR_RETURN(options->grace, wire::ParsePositive("--grace", raw.grace,
                                                       absl::ZeroDuration()));
  ASSIGN_OR_RETURN(options->lease,
                   wire::ParsePositive("--lease", raw.lease, absl::Seconds(3)));
  ASSIGN_OR_RETURN(static_cast<wire::WorkerTuning&>(*options),
                   wire::UnderstandTuning(raw.tuning));
  RETURN_IF_ERROR(UnderstandStorage(raw, options));
  options->log_level = raw.log_level;
  return absl::OkStatus();
}

}  // namespace

std::optional<int> ParseProgramOptions(int argc, const char* const* argv,
                                       ProgramOptions* options) {
  CLI::App app(
      "promptd learns prompts for a frozen CLIP from a few labelled images, "
      "keeps them in a registry and classifies with them over gRPC.",
      "promptd");
  app.footer(Footer());
  app.set_version_flag("--version", std::string("promptd ") + PROMPTD_VERSION);
  RawOptions raw;
  DeclarePlaces(&raw, &app);
  DeclareWorkers(&raw, &app);
  DeclareStorage(&raw, &app);
  DeclareRest(&raw, &app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  const absl::Status status = Understand(raw, options);
  if (!status.ok()) {
    std::cerr << wire::FormatStartError(status);
    return 2;
  }
  return std::nullopt;
}

}  // namespace promptd::server
