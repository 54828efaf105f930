#include "server/interpret_call.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/method_traits.h"
#include "common/nearest_name.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "registry/registry.h"
#include "server/context_check.h"
#include "server/grpc_status.h"
#include "server/version_selector.h"
#include "worker/executor.h"
#include "worker/training_spec.h"

namespace promptd::server {
namespace {

constexpr int kDefaultTopK = 3;
constexpr int kUnknownListed = 8;

// What one request asks of one version, and all that is wrong with it.
class Interpretation {
 public:
  Interpretation(const Limits& limits,
                 const v1::InterpretVersionRequest& request,
                 const registry::PromptVersion& version)
      : limits_(limits), request_(request), version_(version) {}

  // The worker's part; call once. INVALID_ARGUMENT; FAILED_PRECONDITION
  // (NO_CONTEXT).
  absl::StatusOr<worker::InterpretCall> Prepare() {
    ASSIGN_OR_RETURN(const worker::TrainingSpec spec,
                     worker::TrainingSpecFromJson(version_.spec_json));
    if (!LearnsContext(spec.method)) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, "NO_CONTEXT",
          absl::StrCat("version ", Name(), " is of method ", spec.method,
                       ", which learns no context: there are no vectors to "
                       "read"));
    }
    call_.encoder_digest = version_.encoder_digest;
    call_.context_digest = version_.context_digest;
    call_.context_tokens = spec.context_tokens;
    TopK();
    if (spec.class_specific) {
      call_.classes = static_cast<int>(version_.class_names.size());
      Classes();
      Vectors();
    } else if (request_.class_names_size() > 0) {
      Violate("CONTEXT_IS_SHARED", "class_names",
              absl::StrCat("must be empty: all classes of ", Name(),
                           " share one context"));
    }
    if (!violations_.empty()) return InvalidFields(reason_, violations_);
    return std::move(call_);
  }

 private:
  void Violate(const char* reason, const std::string& field,
               const std::string& description) {
    if (violations_.empty()) reason_ = reason;
    violations_.push_back({field, description});
  }

  std::string Name() const {
    return absl::StrCat(version_.task, ":", version_.version);
  }

  void TopK() {
    call_.top_k = request_.top_k() == 0 ? kDefaultTopK : request_.top_k();
    if (call_.top_k >= 1 && call_.top_k <= limits_.max_nearest_words) return;
    Violate(
        "BAD_TOP_K", "top_k",
        absl::StrCat("is ", call_.top_k, ", must be 1 to ",
                     limits_.max_nearest_words, ", or 0 for ", kDefaultTopK));
  }

  // The named classes in the version's order, each once; none named: all.
  void Classes() {
    const std::set<std::string> wanted(request_.class_names().begin(),
                                       request_.class_names().end());
    const std::vector<std::string>& names = version_.class_names;
    for (size_t i = 0; i < names.size(); ++i) {
      if (wanted.empty() || wanted.count(names[i]) > 0) {
        call_.class_indexes.push_back(static_cast<int>(i));
      }
    }
    const std::set<std::string> known(names.begin(), names.end());
    int unknown = 0;
    for (int i = 0; i < request_.class_names_size(); ++i) {
      if (known.count(request_.class_names(i)) > 0) continue;
      if (++unknown <= kUnknownListed) UnknownClass(i);
    }
    if (unknown > kUnknownListed) {
      Violate("UNKNOWN_CLASS", "class_names",
              absl::StrCat("has ", unknown - kUnknownListed,
                           " more that are no classes of ", Name()));
    }
  }

  void UnknownClass(int index) {
    const std::string& name = request_.class_names(index);
    const auto most = static_cast<size_t>(limits_.max_label_bytes);
    // No class is longer; looking for what is near takes its length squared.
    const std::string nearest =
        name.size() > most ? "" : NearestName(name, version_.class_names);
    Violate(
        "UNKNOWN_CLASS", absl::StrCat("class_names[", index, "]"),
        absl::StrCat(
            "\"", TruncateUtf8(name, most), "\" is no class of ", Name(), ": ",
            nearest.empty()
                ? absl::StrCat("it has ", JoinSome(version_.class_names))
                : absl::StrCat("did you mean \"", nearest, "\"?")));
  }

  void Vectors() {
    const int64_t vectors =
        static_cast<int64_t>(call_.class_indexes.size()) * call_.context_tokens;
    const int64_t most = limits_.max_vectors_per_call;
    if (vectors <= most) return;
    Violate("TOO_MANY_VECTORS", "class_names",
            absl::StrCat(call_.class_indexes.size(), " classes of ",
                         call_.context_tokens, " vectors are ", vectors,
                         ", at most ", most, " are taken: name at most ",
                         most / call_.context_tokens, " classes a call"));
  }

  const Limits& limits_;
  const v1::InterpretVersionRequest& request_;
  const registry::PromptVersion& version_;
  worker::InterpretCall call_;
  const char* reason_ = nullptr;
  std::vector<FieldViolation> violations_;
};

// Which vector an answer belongs to.
struct Place {
  std::string class_name;  // empty: shared
  int position = 0;        // 1 .. M
};

std::vector<Place> Places(const worker::InterpretCall& call,
                          const std::vector<std::string>& class_names) {
  std::vector<std::string> names;
  for (const int index : call.class_indexes) {
    names.push_back(class_names[static_cast<size_t>(index)]);
  }
  if (call.classes == 0) names.emplace_back();
  std::vector<Place> places;
  for (const std::string& name : names) {
    for (int position = 1; position <= call.context_tokens; ++position) {
      places.push_back({name, position});
    }
  }
  return places;
}

absl::Status Fill(const std::vector<Place>& places,
                  const std::vector<worker::VectorWords>& vectors,
                  v1::InterpretVersionResponse* reply) {
  if (vectors.size() != places.size()) {
    return MakeError(absl::StatusCode::kInternal, "VECTORS_DIFFER",
                     absl::StrCat("the worker answered ", vectors.size(),
                                  " vectors of ", places.size()));
  }
  for (size_t i = 0; i < vectors.size(); ++i) {
    v1::ContextVectorWords* out = reply->add_vectors();
    out->set_class_name(places[i].class_name);
    out->set_position(places[i].position);
    out->set_norm(vectors[i].norm);
    for (const worker::NearWord& word : vectors[i].words) {
      v1::NearestWord* near = out->add_words();
      near->set_token(word.token);
      near->set_token_id(word.token_id);
      near->set_distance(word.distance);
    }
  }
  return absl::OkStatus();
}

// Finds the version and begins the reply.
absl::StatusOr<worker::InterpretCall> Prepare(
    const Backend& backend, const Call& call,
    const v1::InterpretVersionRequest& request, std::vector<Place>* places,
    v1::InterpretVersionResponse* reply) {
  ASSIGN_OR_RETURN(const registry::PromptVersion version,
                   SelectVersion(backend.registry->prompts(),
                                 call.principal().tenant, request));
  ASSIGN_OR_RETURN(worker::InterpretCall work,
                   Interpretation(backend.limits, request, version).Prepare());
  *places = Places(work, version.class_names);
  reply->set_task(version.task);
  reply->set_version(version.version);
  work.deadline = call.deadline();
  work.cancelled = call.CancelledFunction();
  return work;
}

}  // namespace

DeadlineRule InterpretDeadline(const Limits& limits) {
  return {limits.classify_deadline, limits.max_classify_deadline};
}

void InterpretVersion(const Backend& backend, const std::shared_ptr<Call>& call,
                      const v1::InterpretVersionRequest& request,
                      v1::InterpretVersionResponse* reply,
                      const Rpc::Done& done) {
  std::vector<Place> places;
  auto work = Prepare(backend, *call, request, &places, reply);
  if (!work.ok()) return done(work.status());
  backend.executor->Interpret(
      *std::move(work),
      [call, reply, done, places = std::move(places)](
          const absl::StatusOr<std::vector<worker::VectorWords>>& vectors) {
        done(Guarded(*call, [&]() -> absl::Status {
          RETURN_IF_ERROR(vectors.status());
          return Fill(places, *vectors, reply);
        }));
      });
}

}  // namespace promptd::server
