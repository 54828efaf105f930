// promptctl version tag|lineage|derived|delete
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/paging.h"
#include "client/prompt_view.h"
#include "client/proto_json.h"
#include "client/selector.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"

namespace promptd::client {
namespace {

// TASK:VERSION and nothing else: what changes a version names it by number.
absl::StatusOr<TaskSelector> ParseNumbered(const std::string& text) {
  ASSIGN_OR_RETURN(TaskSelector selector, ParseTaskSelector(text));
  if (selector.version > 0) return selector;
  return UsageError(absl::StrCat("\"", text,
                                 "\" names no version number: write e.g. ",
                                 selector.task, ":1"));
}

struct TagFlags {
  std::string version;
  std::vector<std::string> set;
  std::vector<std::string> remove;
};

absl::Status Tag(Session& session, const TagFlags& flags) {
  ASSIGN_OR_RETURN(const TaskSelector selector, ParseNumbered(flags.version));
  if (flags.set.empty() && flags.remove.empty()) {
    return UsageError(
        "there is no tag to write or remove: give KEY=VALUE or "
        "--remove KEY");
  }
  v1::ChangeVersionTagsRequest request;
  request.set_task(selector.task);
  request.set_version(selector.version);
  for (const std::string& text : flags.set) {
    const size_t equals = text.find('=');
    (*request.mutable_set())[text.substr(0, equals)] =
        equals == std::string::npos ? "" : text.substr(equals + 1);
  }
  for (const std::string& key : flags.remove) request.add_remove(key);
  ASSIGN_OR_RETURN(
      const v1::ChangeVersionTagsResponse reply,
      session.api.Call(&v1::PromptService::Stub::ChangeVersionTags, request));
  if (session.console.json()) {
    session.console.Json(ToJson(reply)["tags"]);
  } else {
    session.console.out() << TagsText(reply.tags()) << "\n";
  }
  return absl::OkStatus();
}

absl::Status Lineage(Session& session, const std::string& text) {
  ASSIGN_OR_RETURN(const TaskSelector selector, ParseTaskSelector(text));
  v1::GetLineageRequest request;
  SetSelector(selector, &request);
  ASSIGN_OR_RETURN(
      const v1::GetLineageResponse reply,
      session.api.Call(&v1::PromptService::Stub::GetLineage, request));
  if (session.console.json()) {
    session.console.Json(ToJson(reply));
  } else {
    session.console.out() << LineageText(reply, session.clock.Now());
  }
  return absl::OkStatus();
}

struct DerivedFlags {
  std::string dataset;
  std::string dataset_digest;
  std::string encoder_digest;
  std::string version;
};

absl::StatusOr<v1::ListDerivedVersionsRequest> ToRequest(
    const DerivedFlags& flags) {
  v1::ListDerivedVersionsRequest request;
  if (!flags.dataset.empty()) {
    request.set_dataset(flags.dataset);
  } else if (!flags.dataset_digest.empty()) {
    request.set_dataset_digest(flags.dataset_digest);
  } else if (!flags.encoder_digest.empty()) {
    request.set_encoder_digest(flags.encoder_digest);
  } else {
    ASSIGN_OR_RETURN(const TaskSelector selector,
                     ParseTaskSelector(flags.version));
    SetSelector(selector, request.mutable_source());
  }
  return request;
}

absl::Status Derived(Session& session, const DerivedFlags& flags) {
  ASSIGN_OR_RETURN(v1::ListDerivedVersionsRequest request, ToRequest(flags));
  ASSIGN_OR_RETURN(
      const std::vector<v1::PromptVersion> versions,
      AllPages<v1::PromptVersion>(
          [&](const std::string& token) {
            request.set_page_token(token);
            return session.api.Call(
                &v1::PromptService::Stub::ListDerivedVersions, request);
          },
          [](const auto& reply) -> auto& { return reply.versions(); }));
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const auto& version : versions) json.push_back(ToJson(version));
    session.console.Json(json);
  } else {
    session.console.out() << VersionTable(versions, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status Delete(Session& session, const std::string& text) {
  ASSIGN_OR_RETURN(const TaskSelector selector, ParseNumbered(text));
  v1::DeleteVersionRequest request;
  request.set_task(selector.task);
  request.set_version(selector.version);
  RETURN_IF_ERROR(
      session.api.Call(&v1::PromptService::Stub::DeleteVersion, request)
          .status());
  if (session.console.json()) {
    session.console.Json({{"deleted", ToString(selector)}});
  } else {
    session.console.Note(absl::StrCat("deleted  ", ToString(selector),
                                      "; `promptctl gc` frees its disk"));
  }
  return absl::OkStatus();
}

void AddTag(CLI::App* noun, Action* chosen) {
  CLI::App* app = noun->add_subcommand("tag", "Write on a version");
  auto flags = std::make_shared<TagFlags>();
  app->add_option("version", flags->version, "TASK:VERSION")->required();
  app->add_option("tags", flags->set, "KEY=VALUE, or KEY alone");
  app->add_option("--remove", flags->remove, "A key; repeat for several")
      ->expected(1)
      ->take_all();
  app->footer(
      "Examples:\n  promptctl version tag pets:3 reviewed-by=ann night\n"
      "  promptctl version tag pets:3 --remove night");
  app->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Tag(session, *flags); };
  });
}

void AddDerived(CLI::App* noun, Action* chosen) {
  CLI::App* app = noun->add_subcommand(
      "derived", "The versions of all tasks that were made from something");
  auto flags = std::make_shared<DerivedFlags>();
  CLI::Option_group* one = app->add_option_group("origin", "One of");
  one->add_option("--dataset,-d", flags->dataset, "A dataset, by name");
  one->add_option("--dataset-digest", flags->dataset_digest,
                  "A dataset's content, also of one that was deleted");
  one->add_option("--encoder-digest", flags->encoder_digest, "An encoder");
  one->add_option("--version", flags->version,
                  "A version whose context they started from: TASK, "
                  "TASK@ALIAS or TASK:VERSION");
  one->require_option(1);
  app->footer(
      "Examples:\n  promptctl version derived --dataset pets\n"
      "  promptctl version derived --version pets:3");
  app->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Derived(session, *flags); };
  });
}

void AddNamed(CLI::App* noun, const char* verb, const char* description,
              const char* help, const char* example,
              absl::Status (*run)(Session&, const std::string&),
              Action* chosen) {
  CLI::App* app = noun->add_subcommand(verb, description);
  auto name = std::make_shared<std::string>();
  app->add_option("version", *name, help)->required();
  app->footer(absl::StrCat("Example:\n  ", example));
  app->callback([chosen, name, run] {
    *chosen = [name, run](Session& session) { return run(session, *name); };
  });
}

}  // namespace

void AddVersionCare(CLI::App* noun, Action* chosen) {
  AddTag(noun, chosen);
  AddNamed(noun, "lineage", "What a version came from",
           "TASK, TASK@ALIAS or TASK:VERSION",
           "promptctl version lineage pets:3", Lineage, chosen);
  AddDerived(noun, chosen);
  AddNamed(noun, "delete", "Forget a version that no alias names",
           "TASK:VERSION", "promptctl version delete pets:2", Delete, chosen);
}

}  // namespace promptd::client
