#include "bench/load/options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace promptd::load {
namespace {

// As typed, before it is understood.
struct RawOptions {
  double seconds = 10;
  double warmup_seconds = 2;
  double deadline_ms = 0;
  std::string versions;
};

bool ParseVersions(const std::string& text, VersionRange* range) {
  const std::vector<std::string> ends = absl::StrSplit(text, '-');
  return ends.size() <= 2 && absl::SimpleAtoi(ends.front(), &range->first) &&
         absl::SimpleAtoi(ends.back(), &range->last) && range->first >= 1 &&
         range->last >= range->first;
}

void DeclareRequest(CLI::App* app, RawOptions* raw, Options* options) {
  RequestOptions* request = &options->request;
  app->add_option("--target", options->target, "HOST:PORT of the server")
      ->required();
  app->add_option("--tenant", request->tenant, "Who asks, of promptd");
  app->add_option("--api", request->api,
                  "classify: promptd.v1.ClassifyService/Classify; stream: its "
                  "ClassifyStream, one on each connection; infer: "
                  "inference.GRPCInferenceService/ModelInfer, of promptd or "
                  "of Triton; infer-stream: its ModelStreamInfer")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Api>{{"classify", Api::kClassify},
                                     {"infer", Api::kInfer},
                                     {"infer-stream", Api::kInferStream},
                                     {"stream", Api::kStream}}))
      ->option_text("classify|stream|infer|infer-stream [classify]");
  app->add_option("--name", request->name,
                  "The task (classify, stream) or the model")
      ->required();
  auto* alias = app->add_option("--alias", request->alias,
                                "The task's alias (classify, stream)");
  app->add_option("--versions", raw->versions,
                  "A version, or a range as 1-10000 of which each request "
                  "takes one at random")
      ->excludes(alias);
  app->add_option("--top-k", request->top_k,
                  "Scores an image (classify, stream)");
  app->add_option("--input", request->input,
                  "The model's input tensor; default: the first of its "
                  "metadata with the type that is sent");
  app->add_option("--images-per-request", request->images_per_request)
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app->add_flag("--shared-memory", request->shared_memory,
                "Let the images lie in shared memory, which a server on this "
                "machine reads; requests name the place (infer)");
  app->add_option("--channels", options->channels, "Connections")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

void DeclareImages(CLI::App* app, ImageOptions* images) {
  auto* paths = app->add_option("images", images->paths,
                                "JPEG files, or folders of them, sent in turn");
  auto* pixels =
      app->add_flag("--pixels", images->pixels,
                    "Send random float32 pixels of the model's shape (infer)");
  paths->excludes(pixels);
  app->add_option("--distinct", images->distinct,
                  "Use the first K images only; of pixels: make K (default "
                  "32)")
      ->check(CLI::Range(1, 1 << 20));
  app->add_flag("--fresh", images->fresh,
                "Let no two images have the same bytes: a comment in each "
                "JPEG, or four numbers of the pixels, is new every time")
      ->excludes(app->add_flag(
          "--by-digest", images->by_digest,
          "Send each image once before the warm-up, then only its SHA-256 "
          "(classify, stream)"));
}

void DeclarePace(CLI::App* app, RawOptions* raw, Options* options) {
  PaceOptions* pace = &options->pace;
  auto* concurrency =
      app->add_option("--concurrency", pace->concurrency,
                      "Closed loop: so many requests are always under way")
          ->check(CLI::Range(1, 65536))
          ->capture_default_str();
  app->add_option("--rate", pace->rate,
                  "Open loop: so many requests a second; latency counts from "
                  "when a request was due")
      ->check(CLI::PositiveNumber)
      ->excludes(concurrency);
  app->add_option("--arrivals", pace->pattern, "poisson or fixed (open loop)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ArrivalPattern>{
          {"poisson", ArrivalPattern::kPoisson},
          {"fixed", ArrivalPattern::kFixed}}))
      ->option_text("poisson|fixed [poisson]");
  app->add_option("--max-outstanding", pace->max_outstanding,
                  "Requests due while so many are under way are not sent, "
                  "but counted (open loop)")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app->add_option("--seconds", raw->seconds, "Measured time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--warmup-seconds", raw->warmup_seconds,
                  "Time before it, of which nothing is counted")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--deadline-ms", raw->deadline_ms,
                  "Deadline of each request, from when it was due; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--seed", options->seed)->capture_default_str();
}

// What is wrong with options that are right one by one; empty: nothing.
std::string Understand(const RawOptions& raw, Options* options) {
  options->pace.length = absl::Seconds(raw.seconds);
  options->pace.warmup = absl::Seconds(raw.warmup_seconds);
  options->pace.deadline = absl::Milliseconds(raw.deadline_ms);
  if (!raw.versions.empty() &&
      !ParseVersions(raw.versions, &options->request.versions.emplace())) {
    return "--versions " + raw.versions +
           ": give a version from 1, or a range as 1-100";
  }
  const bool classify = !IsInfer(options->request.api);
  if (classify && options->images.pixels) {
    return "--pixels: only --api infer and infer-stream take pixels";
  }
  if (!options->images.pixels && options->images.paths.empty()) {
    return "no images: name JPEG files or folders, or say --pixels";
  }
  if (classify && !options->request.input.empty()) {
    return "--input: only --api infer and infer-stream have tensors";
  }
  if (classify && options->request.shared_memory) {
    return "--shared-memory: only --api infer and infer-stream have it";
  }
  if (!classify && options->images.by_digest) {
    return "--by-digest: a model takes no digests";
  }
  if (IsStream(options->request.api) &&
      (options->pace.rate > 0 || raw.deadline_ms > 0)) {
    return "--api stream and infer-stream are closed loops without deadlines: "
           "leave out --rate and --deadline-ms";
  }
  if (!classify && !options->request.alias.empty()) {
    return "--alias: of a model, write --name TASK@ALIAS";
  }
  return "";
}

}  // namespace

ParsedOptions ParseOptions(int argc, char** argv) {
  ParsedOptions parsed;
  RawOptions raw;
  CLI::App app(
      "Sends images to promptd or Triton over gRPC and says how fast and how "
      "late the answers were: one JSON object on standard output, one line to "
      "read on standard error. It uses one thread and memory that does not "
      "grow with the run. Run it niced where it shares the server's cores.",
      "load_generator");
  DeclareRequest(&app, &raw, &parsed.options);
  DeclareImages(&app, &parsed.options.images);
  DeclarePace(&app, &raw, &parsed.options);
  try {
    app.parse(argc, argv);
    const std::string wrong = Understand(raw, &parsed.options);
    if (!wrong.empty()) throw CLI::ValidationError(wrong);
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : 2;
  }
  return parsed;
}

}  // namespace promptd::load
