#include "server/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/limits.h"

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
  int threads = 0;
  int64_t embedding_cache_bytes = ProgramOptions().embedding_cache_bytes;
  int max_batch = ProgramOptions().max_batch;
  std::string max_batch_time = "250ms";
  int queue_images = ProgramOptions().queue_images;
  int tenant_queue_images = 0;
  std::string precision = PrecisionName(Precision::kFloat32);
  std::string device = "auto";
  int64_t max_blob_bytes = 0;
  int tenant_running_jobs = 0;
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

void DeclareStorage(RawOptions* raw, CLI::App* app) {
  app->add_option("--max-blob-bytes", raw->max_blob_bytes,
                  "Disk that the blobs may take: images, features, "
                  "checkpoints, versions. What does not fit is refused; "
                  "`promptctl gc` frees what is not needed. 0: no bound")
      ->envname("PROMPTD_MAX_BLOB_BYTES")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 60))
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

void DeclareTuning(RawOptions* raw, CLI::App* app) {
  app->add_option("--grace", raw->grace,
                  "Time that running calls have at shutdown")
      ->envname("PROMPTD_GRACE")
      ->capture_default_str();
  app->add_option("--lease", raw->lease,
                  "Time after which a silent worker loses its job")
      ->envname("PROMPTD_LEASE")
      ->capture_default_str();
  app->add_option("--threads", raw->threads,
                  "Threads of one computation; 0: one per core")
      ->envname("PROMPTD_THREADS")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option("--embedding-cache-bytes", raw->embedding_cache_bytes,
                  "Memory for features of images that were classified or "
                  "embedded; such an image is not decoded or encoded again. "
                  "0: none")
      ->envname("PROMPTD_EMBEDDING_CACHE_BYTES")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 50))
      ->capture_default_str();
  app->add_option("--max-batch", raw->max_batch, "Images of one encode batch")
      ->envname("PROMPTD_MAX_BATCH")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("--max-batch-time", raw->max_batch_time,
                  "About how long one encode batch may take, measured: what "
                  "an image waits for that comes when a batch has just begun")
      ->envname("PROMPTD_MAX_BATCH_TIME")
      ->capture_default_str();
  app->add_option("--queue-images", raw->queue_images,
                  "Images that may wait for their answers; calls beyond are "
                  "turned away")
      ->envname("PROMPTD_QUEUE_IMAGES")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--tenant-queue-images", raw->tenant_queue_images,
                  "The same for the calls of one tenant; 0: half of them")
      ->envname("PROMPTD_TENANT_QUEUE_IMAGES")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app->add_option("--device", raw->device,
                  "Where the encoders compute: cpu, cuda, cuda:N (the N-th "
                  "device, from 0), or auto, which is the first CUDA device "
                  "where there is one and else the processor")
      ->envname("PROMPTD_DEVICE")
      ->capture_default_str();
  app->add_option("--precision", raw->precision,
                  "What the encoders compute in: float32, or bfloat16, which "
                  "is faster on processors with bfloat16 instructions and "
                  "keeps features within a cosine of 0.999")
      ->envname("PROMPTD_PRECISION")
      ->check(CLI::IsMember({PrecisionName(Precision::kFloat32),
                             PrecisionName(Precision::kBFloat16)}))
      ->capture_default_str();
  app->add_flag("--insecure-allow-remote", raw->insecure_allow_remote,
                "Listen beyond this machine although there is neither TLS nor "
                "a key: anybody who reaches the port is the owner")
      ->envname("PROMPTD_INSECURE_ALLOW_REMOTE");
  app->add_option("--log-level", raw->log_level,
                  "Logs are JSON lines on standard error")
      ->envname("PROMPTD_LOG_LEVEL")
      ->check(
          CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
}

std::string DefaultDataDir() {
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return "";
  return absl::StrCat(home, "/.local/share/promptd");
}

// The embedded encoder's folder; empty when there is none.
std::string EmbeddedEncoder() {
  std::error_code error;
  const char* models = std::getenv("PROMPTD_MODELS");
  if (models != nullptr && *models != '\0') {
    return absl::StrCat(models, "/embedded");
  }
  auto folder = std::filesystem::read_symlink("/proc/self/exe", error);
  while (!error && folder.has_relative_path()) {
    folder = folder.parent_path();
    const auto candidate = folder / "models" / "embedded";
    if (std::filesystem::is_directory(candidate, error)) {
      return candidate.string();
    }
    error.clear();
  }
  return "";
}

// The folders that `promptctl encoder import` made, ordered by name.
std::vector<std::string> ImportedEncoders(const std::string& data_dir) {
  std::vector<std::string> folders;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(
           absl::StrCat(data_dir, "/encoders"), ignored)) {
    const std::string name = entry.path().filename().string();
    // A name with a dot in front is an import that has not ended.
    if (name[0] != '.' && entry.is_directory(ignored)) {
      folders.push_back(entry.path().string());
    }
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

absl::StatusOr<absl::Duration> ParsePositive(const std::string& flag,
                                             const std::string& text,
                                             absl::Duration least) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < least ||
      duration > absl::Hours(24)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "INVALID_DURATION",
        absl::StrCat(flag, " ", text, ": give a duration from ",
                     absl::FormatDuration(least), " to 24h, e.g. 10s"));
  }
  return duration;
}

absl::StatusOr<Address> ParseListener(const std::string& flag,
                                      const std::string& text,
                                      bool allow_remote) {
  auto address = ParseAddress(text);
  if (!address.ok()) return Annotate(address.status(), flag);
  if (!allow_remote && !IsLoopback(address->host)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, "REMOTE_NOT_ALLOWED",
        absl::StrCat(flag, " ", text,
                     " can be reached from other machines, and there is "
                     "neither TLS nor a key: listen on 127.0.0.1, or say "
                     "--insecure-allow-remote if the network is yours"));
  }
  return address;
}

absl::Status Understand(const RawOptions& raw, ProgramOptions* options) {
  options->data_dir = raw.data_dir.empty() ? DefaultDataDir() : raw.data_dir;
  if (options->data_dir.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "NO_DATA_DIR",
                     "there is no home folder: give --data-dir");
  }
  ASSIGN_OR_RETURN(options->listen, ParseListener("--listen", raw.listen,
                                                  raw.insecure_allow_remote));
  options->http.reset();
  if (!raw.http.empty()) {
    ASSIGN_OR_RETURN(options->http, ParseListener("--http", raw.http,
                                                  raw.insecure_allow_remote));
  }
  options->encoder_dirs = raw.encoders;
  if (options->encoder_dirs.empty()) {
    options->encoder_dirs = ImportedEncoders(options->data_dir);
    const std::string embedded = EmbeddedEncoder();
    if (embedded.empty() && options->encoder_dirs.empty()) {
      return MakeError(absl::StatusCode::kNotFound, "NO_ENCODER",
                       "found no models/embedded beside the program: give "
                       "--encoder, or set PROMPTD_MODELS");
    }
    if (!embedded.empty()) options->encoder_dirs.push_back(embedded);
  }
  options->default_encoder = raw.default_encoder;
  options->ready_file = raw.ready_file;
  ASSIGN_OR_RETURN(options->grace,
                   ParsePositive("--grace", raw.grace, absl::ZeroDuration()));
  ASSIGN_OR_RETURN(options->lease,
                   ParsePositive("--lease", raw.lease, absl::Seconds(3)));
  options->threads = raw.threads;
  options->embedding_cache_bytes = raw.embedding_cache_bytes;
  options->max_batch = raw.max_batch;
  ASSIGN_OR_RETURN(options->max_batch_time,
                   ParsePositive("--max-batch-time", raw.max_batch_time,
                                 absl::Milliseconds(1)));
  options->queue_images = raw.queue_images;
  options->tenant_queue_images = raw.tenant_queue_images > 0
                                     ? raw.tenant_queue_images
                                     : (raw.queue_images + 1) / 2;
  options->max_blob_bytes = raw.max_blob_bytes;
  options->tenant_running_jobs = raw.tenant_running_jobs;
  options->allow_network_file_system = raw.allow_network_file_system;
  options->device = raw.device;
  for (const Precision precision :
       {Precision::kFloat32, Precision::kBFloat16}) {
    if (raw.precision == PrecisionName(precision)) {
      options->precision = precision;
    }
  }
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
  DeclareStorage(&raw, &app);
  DeclareTuning(&raw, &app);
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

std::string FormatStartError(const absl::Status& status) {
  return absl::StrCat("error: ", status.message(), "\n  ref   ",
                      ErrorReason(status), "\n");
}

}  // namespace promptd::server
