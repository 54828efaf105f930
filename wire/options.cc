#include "wire/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "weights/encoder_places.h"

namespace promptd::wire {
namespace {

// As typed, before it is understood.
struct RawOptions {
  std::string frontend;
  std::string token_file;
  TlsFlags tls;
  std::string listen = "127.0.0.1:7082";
  std::string advertise;
  std::string id;
  std::vector<std::string> encoders;
  std::string data_dir;
  std::string blobs_dir;
  int64_t blob_cache_bytes = WorkerOptions().blob_cache_bytes;
  std::string ready_file;
  std::string http;
  std::string grace = "10s";
  std::string checkpoint_interval = "5s";
  TuningFlags tuning;
  bool insecure_allow_remote = false;
  std::string log_level = "info";
};

constexpr char kFooter[] =
    "It attaches to the front end, holds its encoders ready for classification "
    "and runs the jobs that need them. It needs no database and no files of "
    "the front end.\n"
    "Stop with SIGTERM or Ctrl-C: calls that it has are answered, and a "
    "running job is given back with a checkpoint.\n"
    "Durations are like 500ms, 15s, 2m. Each option can be set as the "
    "environment variable beside it.\n"
    "Example:\n"
    "  promptd --worker-listen 127.0.0.1:7083 --worker-token-file token\n"
    "  promptd-worker --frontend 127.0.0.1:7083 --token-file token";

void DeclarePlaces(RawOptions* raw, CLI::App* app) {
  app->add_option("--frontend", raw->frontend,
                  "HOST:PORT of promptd's --worker-listen")
      ->envname("PROMPTD_WORKER_FRONTEND")
      ->required();
  app->add_option("--token-file", raw->token_file,
                  "File of the secret that promptd has as "
                  "--worker-token-file; nobody else on this machine may read "
                  "it")
      ->envname("PROMPTD_WORKER_TOKEN_FILE")
      ->required();
  DeclareTls("", "PROMPTD_WORKER", &raw->tls, app);
  app->add_option("--listen", raw->listen,
                  "HOST:PORT where the front end reaches this worker; port 0 "
                  "takes a free one")
      ->envname("PROMPTD_WORKER_LISTEN")
      ->capture_default_str();
  app->add_option("--advertise", raw->advertise,
                  "HOST:PORT that the front end is told, where it is not "
                  "--listen")
      ->envname("PROMPTD_WORKER_ADVERTISE");
  app->add_option("--id", raw->id,
                  "Name of this worker, one of its own: a-z, 0-9, \".\", "
                  "\"_\", \"-\". Default: host and port")
      ->envname("PROMPTD_WORKER_ID");
  app->add_option("--encoder", raw->encoders,
                  "Folder of an encoder; repeat for several. Default: those "
                  "imported into the data folder, and the embedded "
                  "demonstration encoder, from $PROMPTD_MODELS or beside the "
                  "program")
      ->envname("PROMPTD_WORKER_ENCODER")
      ->expected(1)
      ->take_all();
}

void DeclareStorage(RawOptions* raw, CLI::App* app) {
  app->add_option("--data-dir", raw->data_dir,
                  "Folder of imported encoders, and of the cache of blobs. "
                  "Default: ~/.local/share/promptd")
      ->envname("PROMPTD_WORKER_DATA_DIR");
  app->add_option("--blobs-dir", raw->blobs_dir,
                  "The front end's DATA/blobs where this machine shares it: "
                  "blobs are read there. Default: they are streamed, and kept "
                  "in the data folder")
      ->envname("PROMPTD_WORKER_BLOBS_DIR");
  app->add_option("--blob-cache-bytes", raw->blob_cache_bytes,
                  "Disk for blobs that were streamed")
      ->envname("PROMPTD_WORKER_BLOB_CACHE_BYTES")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 50))
      ->capture_default_str();
  app->add_option("--http", raw->http,
                  "HOST:PORT for /metrics (Prometheus) and /healthz; port 0 "
                  "takes a free one. Default: none")
      ->envname("PROMPTD_WORKER_HTTP");
  app->add_option("--ready-file", raw->ready_file,
                  "File that is written once the worker serves: JSON "
                  "with listen, http, id and pid")
      ->envname("PROMPTD_WORKER_READY_FILE");
}

void DeclareRest(RawOptions* raw, CLI::App* app) {
  app->add_option("--grace", raw->grace,
                  "Time that running calls have at shutdown")
      ->envname("PROMPTD_WORKER_GRACE")
      ->capture_default_str();
  app->add_option("--checkpoint-interval", raw->checkpoint_interval,
                  "Between two checkpoints of a running job")
      ->envname("PROMPTD_WORKER_CHECKPOINT_INTERVAL")
      ->capture_default_str();
  DeclareTuning("PROMPTD_WORKER", &raw->tuning, app);
  app->add_flag("--insecure-allow-remote", raw->insecure_allow_remote,
                "Talk with other machines without --tls-ca: who listens on "
                "the network sees the token and the images")
      ->envname("PROMPTD_WORKER_INSECURE_ALLOW_REMOTE");
  DeclareLogLevel("PROMPTD_WORKER", &raw->log_level, app);
}

absl::Status UnderstandPlaces(const RawOptions& raw, WorkerOptions* options) {
  auto frontend = ParseAddress(raw.frontend);
  if (!frontend.ok()) return Annotate(frontend.status(), "--frontend");
  options->frontend = *std::move(frontend);
  ASSIGN_OR_RETURN(options->tls, TlsIdentity::FromFlags("", raw.tls));
  const bool allow_remote = raw.insecure_allow_remote || options->tls;
  if (!allow_remote && !IsLoopback(options->frontend.host)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "REMOTE_NOT_ALLOWED",
        absl::StrCat("--frontend ", raw.frontend,
                     " is another machine, and there is no TLS: give "
                     "--tls-ca, --tls-cert and --tls-key, or say "
                     "--insecure-allow-remote if the network is yours"));
  }
  ASSIGN_OR_RETURN(options->listen,
                   ParseListener("--listen", raw.listen, allow_remote));
  if (!raw.advertise.empty()) {
    const auto advertised = ParseAddress(raw.advertise);
    if (!advertised.ok()) return Annotate(advertised.status(), "--advertise");
  } else if (options->listen.host == "0.0.0.0" ||
             options->listen.host == "::") {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_ADVERTISE",
                     absl::StrCat("--listen ", raw.listen,
                                  " is every address of this machine: say "
                                  "with --advertise which one the front end "
                                  "reaches"));
  }
  options->advertise = raw.advertise;
  options->id = raw.id;
  ASSIGN_OR_RETURN(options->token, WorkerToken::FromFile(raw.token_file));
  return absl::OkStatus();
}

absl::Status Understand(const RawOptions& raw, WorkerOptions* options) {
  RETURN_IF_ERROR(UnderstandPlaces(raw, options));
  options->data_dir = raw.data_dir;
  if (options->data_dir.empty()) {
    ASSIGN_OR_RETURN(options->data_dir, weights::DefaultDataDir());
  }
  ASSIGN_OR_RETURN(options->encoder_dirs,
                   weights::EncoderPlaces(raw.encoders, options->data_dir));
  options->blobs_dir = raw.blobs_dir;
  options->blob_cache_bytes = raw.blob_cache_bytes;
  options->ready_file = raw.ready_file;
  options->http.reset();
  if (!raw.http.empty()) {
    ASSIGN_OR_RETURN(options->http, ParseListener("--http", raw.http,
                                                  raw.insecure_allow_remote));
  }
  ASSIGN_OR_RETURN(options->grace,
                   ParsePositive("--grace", raw.grace, absl::ZeroDuration()));
  ASSIGN_OR_RETURN(
      options->checkpoint_interval,
      ParsePositive("--checkpoint-interval", raw.checkpoint_interval,
                    absl::Milliseconds(100)));
  ASSIGN_OR_RETURN(static_cast<WorkerTuning&>(*options),
                   UnderstandTuning(raw.tuning));
  options->log_level = raw.log_level;
  return absl::OkStatus();
}

}  // namespace

std::optional<int> ParseWorkerOptions(int argc, const char* const* argv,
                                      WorkerOptions* options) {
  CLI::App app(
      "promptd-worker computes for a promptd on another machine: it classifies "
      "and trains on its own device.",
      "promptd-worker");
  app.footer(kFooter);
  app.set_version_flag("--version",
                       std::string("promptd-worker ") + PROMPTD_VERSION);
  RawOptions raw;
  DeclarePlaces(&raw, &app);
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
    std::cerr << FormatStartError(status);
    return 2;
  }
  return std::nullopt;
}

std::string DefaultWorkerId(int port) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  std::string id;
  for (const char c : absl::string_view(host.data())) {
    const auto lower = static_cast<unsigned char>(
        absl::ascii_tolower(static_cast<unsigned char>(c)));
    const bool fits = absl::ascii_isalnum(lower) || lower == '.' ||
                      lower == '_' || lower == '-';
    if (fits && id.size() < 50) id += static_cast<char>(lower);
  }
  if (id.empty() || !absl::ascii_isalnum(static_cast<unsigned char>(id[0]))) {
    id = "worker";
  }
  return absl::StrCat(id, "-", port);
}

}  // namespace promptd::wire
