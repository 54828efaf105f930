#include "server/context_resolver.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "common/method_traits.h"
#include "common/status_macros.h"
#include "registry/prompt_registry.h"
#include "registry/registry.h"
#include "server/checkpoint_context.h"
#include "server/choices.h"
#include "server/context_check.h"
#include "server/context_upload.h"
#include "server/grpc_status.h"
#include "server/version_selector.h"
#include "store/blob_store.h"
#include "worker/tensor_blob.h"

namespace promptd::server {
namespace {

// What an initial context says about the one that comes of it.
struct Start {
  int tokens = 0;  // M
  ClassPosition position = ClassPosition::kEnd;
};

// Where an initial context was learned.
struct Source {
  std::string name;           // for messages, "pets:3"
  worker::TrainingSpec spec;  // of the job that learned it
  std::string encoder_digest;
  std::vector<std::string> class_names;  // of a class-specific one
};

class ContextResolver {
 public:
  ContextResolver(const Backend& backend, const std::string& tenant,
                  const v1::TrainingSpec& asked,
                  const worker::EncoderDescription& encoder,
                  const std::vector<std::string>& class_names,
                  worker::TrainingSpec* spec,
                  std::vector<FieldViolation>* violations)
      : backend_(backend),
        tenant_(tenant),
        asked_(asked),
        encoder_(encoder),
        class_names_(class_names),
        spec_(*spec),
        violations_(*violations) {}

  absl::Status Run() {
    spec_.context_init = asked_.context_init();
    RETURN_IF_ERROR(InitialVersion());
    const absl::Status checkpoint = InitialCheckpoint();
    if (!checkpoint.ok() && !absl::IsNotFound(checkpoint)) return checkpoint;
    RETURN_IF_ERROR(UploadedContext());
    Place();
    RETURN_IF_ERROR(Tokens());
    Size();
    return checkpoint;
  }

 private:
  void Violate(const std::string& field, const std::string& description) {
    violations_.push_back({absl::StrCat("spec.", field), description});
  }

  // The version to start from, if its context can be that start.
  absl::Status InitialVersion() {
    if (!asked_.has_initial_version()) return absl::OkStatus();
    const auto version = SelectVersion(backend_.registry->prompts(), tenant_,
                                       asked_.initial_version());
    if (absl::IsNotFound(version.status())) {
      Violate("initial_version", PublicMessage(version.status()));
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(version.status());
    Source source{.name = absl::StrCat(version->task, ":", version->version),
                  .spec = {},
                  .encoder_digest = version->encoder_digest,
                  .class_names = version->class_names};
    ASSIGN_OR_RETURN(source.spec,
                     worker::TrainingSpecFromJson(version->spec_json));
    const std::string problem = WhyNot(source);
    if (!problem.empty()) {
      Violate("initial_version", problem);
      return absl::OkStatus();
    }
    spec_.initial_task = version->task;
    spec_.initial_version = version->version;
    spec_.initial_context_digest = version->context_digest;
    StartFrom(source.spec);
    return absl::OkStatus();
  }

  void StartFrom(const worker::TrainingSpec& source) {
    spec_.class_specific = source.class_specific;
    start_ = {source.context_tokens, source.class_position};
  }

  // The checkpoint to start from, if its context can be that start: stored as a
  // blob of its own, because the checkpoint goes with its job.
  absl::Status InitialCheckpoint() {
    if (!asked_.has_initial_checkpoint()) return absl::OkStatus();
    const char* const field = "initial_checkpoint";
    if (asked_.has_initial_version()) {
      Violate(field,
              "and initial_version are two starts for one context: give one");
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(
        const FoundCheckpoint found,
        FindCheckpoint(backend_, tenant_, asked_.initial_checkpoint()));
    ASSIGN_OR_RETURN(const Source source, SourceOf(found));
    const std::string problem = WhyNot(source);
    if (!problem.empty()) {
      Violate(field, problem);
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(
        const std::string digest,
        StoreContextOf(backend_, found.checkpoint, source.spec.context_tokens,
                       encoder_.text_width));
    const std::string& sent = asked_.initial_context_digest();
    if (!sent.empty() && sent != digest) {
      Violate("initial_context_digest",
              "and initial_checkpoint are two starts for one context: give "
              "one");
    }
    spec_.initial_job = found.job.id;
    spec_.initial_checkpoint = found.checkpoint.number;
    spec_.initial_context_digest = digest;
    StartFrom(source.spec);
    return absl::OkStatus();
  }

  absl::StatusOr<Source> SourceOf(const FoundCheckpoint& found) const {
    Source source;
    source.name = absl::StrCat("checkpoint ", found.checkpoint.number,
                               " of job ", found.job.id);
    source.encoder_digest = found.job.encoder_digest;
    // An evaluation has none.
    ASSIGN_OR_RETURN(source.spec,
                     worker::TrainingSpecFromJson(found.job.spec_json));
    if (!source.spec.class_specific) return source;
    ASSIGN_OR_RETURN(
        const registry::Task task,
        backend_.registry->prompts().GetTask(tenant_, source.spec.task));
    source.class_names = task.class_names;
    return source;
  }

  // A context that a client sent with UploadContext, if it can be the start.
  absl::Status UploadedContext() {
    const std::string& digest = asked_.initial_context_digest();
    // Beside one of these it is only an output that was sent back.
    if (digest.empty() || asked_.has_initial_version() ||
        asked_.has_initial_checkpoint()) {
      return absl::OkStatus();
    }
    const auto bytes = StoredContext(digest);
    if (absl::IsNotFound(bytes.status())) {
      Violate("initial_context_digest",
              "names no context that this server has: send it with "
              "UploadContext first");
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(bytes.status());
    const auto shape = worker::ContextShape(*bytes);
    const std::string problem = shape.ok()
                                    ? WhyNotShape(*shape)
                                    : absl::StrCat("names what is no context: ",
                                                   shape.status().message());
    if (!problem.empty()) {
      Violate("initial_context_digest", problem);
      return absl::OkStatus();
    }
    spec_.initial_context_digest = digest;
    spec_.class_specific = shape->size() == 3;
    start_ = {static_cast<int>((*shape)[shape->size() - 2]),
              ClassPosition::kEnd};
    return absl::OkStatus();
  }

  // The blob's bytes; none when it is larger than any context.
  absl::StatusOr<std::string> StoredContext(const std::string& digest) const {
    backend_.blobs->Keep(digest);  // until the job's row does
    ASSIGN_OR_RETURN(const int64_t size, backend_.blobs->Size(digest));
    if (size > MaxContextFileBytes(backend_.limits)) return std::string();
    return backend_.blobs->Get(digest);
  }

  // Empty when a context of this shape, [M, W] or [C, M, W], fits this job.
  std::string WhyNotShape(const std::vector<int64_t>& shape) const {
    if (!asked_.context_init().empty()) {
      return "and context_init are two starts for one context: give one";
    }
    const int64_t width = shape.back(), tokens = shape[shape.size() - 2];
    if (width != encoder_.text_width) {
      return absl::StrCat("is a context of width ", width, ", encoder \"",
                          encoder_.name, "\" has ", encoder_.text_width,
                          ": it was learned on another encoder");
    }
    const int most = backend_.limits.max_context_tokens;
    if (tokens > most) {
      return absl::StrCat("is a context of ", tokens, " tokens, at most ", most,
                          " are taken");
    }
    if (asked_.has_context_tokens() && asked_.context_tokens() != tokens) {
      return absl::StrCat("is a context of ", tokens,
                          " tokens: leave context_tokens unset");
    }
    if (shape.size() == 2) {
      return asked_.class_specific()
                 ? "is a context that all classes share: leave class_specific "
                   "unset"
                 : "";
    }
    const int64_t classes = static_cast<int64_t>(class_names_.size());
    if (classes > 0 && shape[0] != classes) {
      return absl::StrCat("is a class-specific context of ", shape[0],
                          " classes, this job has ", classes,
                          ": it fits its own classes only, in their order");
    }
    return "";
  }

  // Empty when the context that was learned there fits this job.
  std::string WhyNot(const Source& source) const {
    const worker::TrainingSpec& start = source.spec;
    const std::string& name = source.name;
    if (!asked_.context_init().empty()) {
      return "and context_init are two starts for one context: give one";
    }
    if (!LearnsContext(start.method)) {
      return absl::StrCat("is ", name, ", of method ", start.method,
                          ", which has no context to start from");
    }
    if (source.encoder_digest != encoder_.digest) {
      return absl::StrCat("is ", name,
                          ", which was learned on another encoder "
                          "than \"",
                          encoder_.name, "\"");
    }
    // Nothing else can be meant when nothing is learned.
    const bool applies = asked_.has_epochs() && asked_.epochs() == 0;
    if (start.class_specific != asked_.class_specific() &&
        !(applies && start.class_specific)) {
      return start.class_specific
                 ? absl::StrCat("is ", name,
                                ", whose context is class-specific"
                                ": set class_specific")
                 : absl::StrCat("is ", name,
                                ", whose context is shared by all "
                                "classes: leave class_specific unset");
    }
    if (start.class_specific && !class_names_.empty() &&
        source.class_names != class_names_) {
      return absl::StrCat("is ", name, ", whose context belongs to its own ",
                          source.class_names.size(),
                          " classes in their order; this job's differ");
    }
    if (asked_.has_context_tokens() &&
        asked_.context_tokens() != start.context_tokens) {
      return absl::StrCat("is ", name, ", whose context has ",
                          start.context_tokens,
                          " tokens: leave context_tokens unset");
    }
    return "";
  }

  void Place() {
    spec_.class_position = start_ ? start_->position : ClassPosition::kEnd;
    ResolveChoice(asked_.class_position(), "class_position",
                  &spec_.class_position, &violations_);
  }

  absl::Status Tokens() {
    const int most = backend_.limits.max_context_tokens;
    ContextRequest request;
    request.init = asked_.context_init();
    request.class_names = class_names_;
    if (asked_.dataset().empty()) request.names_field = "spec.class_names";
    if (start_) {
      request.tokens = start_->tokens;
    } else if (asked_.has_context_tokens()) {
      if (asked_.context_tokens() < 1 || asked_.context_tokens() > most) {
        Violate("context_tokens", absl::StrCat("is ", asked_.context_tokens(),
                                               ", must be 1 to ", most));
      } else {
        request.tokens = asked_.context_tokens();
      }
    }
    ASSIGN_OR_RETURN(spec_.context_tokens,
                     CheckContext(backend_, encoder_, request, &violations_));
    return absl::OkStatus();
  }

  void Size() {
    if (!spec_.class_specific) return;
    const int64_t bytes = static_cast<int64_t>(class_names_.size()) *
                          spec_.context_tokens * encoder_.text_width *
                          static_cast<int64_t>(sizeof(float));
    const int64_t most = backend_.limits.max_context_bytes;
    if (bytes <= most) return;
    Violate(
        "class_specific",
        absl::StrCat("makes a context of ", class_names_.size(), " x ",
                     spec_.context_tokens, " x ", encoder_.text_width,
                     " numbers, ", bytes >> 20, " MiB; at most ", most >> 20,
                     " MiB are taken: use fewer "
                     "context_tokens or classes"));
  }

  const Backend& backend_;
  const std::string& tenant_;
  const v1::TrainingSpec& asked_;
  const worker::EncoderDescription& encoder_;
  const std::vector<std::string>& class_names_;
  worker::TrainingSpec& spec_;
  std::vector<FieldViolation>& violations_;
  std::optional<Start> start_;  // of the initial context
};

}  // namespace

absl::Status ResolveContext(const Backend& backend, const std::string& tenant,
                            const v1::TrainingSpec& asked,
                            const worker::EncoderDescription& encoder,
                            const std::vector<std::string>& class_names,
                            worker::TrainingSpec* spec,
                            std::vector<FieldViolation>* violations) {
  return ContextResolver(backend, tenant, asked, encoder, class_names, spec,
                         violations)
      .Run();
}

}  // namespace promptd::server
