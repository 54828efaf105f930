// promptctl alias list|set
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/prompt_view.h"
#include "client/proto_json.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

absl::Status List(Session& session, const std::string& task) {
  v1::ListAliasesRequest request;
  request.set_task(task);
  ASSIGN_OR_RETURN(const v1::ListAliasesResponse reply,
                   session.api.Call(session.api.prompts(),
                                    &PromptStub::ListAliases, request));
  if (session.console.json()) {
    session.console.Json(ToJson(reply)["aliases"]);
  } else {
    session.console.out() << AliasTable(
        {reply.aliases().begin(), reply.aliases().end()}, session.clock.Now());
  }
  return absl::OkStatus();
}

struct SetFlags {
  std::string task;
  std::string name;
  int64_t version = 0;
  std::optional<int64_t> expected;
};

absl::Status Set(Session& session, const SetFlags& flags) {
  v1::SetAliasRequest request;
  request.set_task(flags.task);
  request.set_name(flags.name);
  request.set_version(flags.version);
  if (flags.expected) request.set_expected_version(*flags.expected);
  ASSIGN_OR_RETURN(
      const v1::Alias alias,
      session.api.Call(session.api.prompts(), &PromptStub::SetAlias, request));
  if (session.console.json()) {
    session.console.Json(ToJson(alias));
  } else {
    session.console.out() << AliasTable({alias}, session.clock.Now());
  }
  return absl::OkStatus();
}

}  // namespace

void AddAliasVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "alias", "Movable names of a task's versions");
  CLI::App* list = noun->add_subcommand("list", "A task's aliases");
  auto task = std::make_shared<std::string>();
  list->add_option("task", *task, "The task's name")->required();
  list->callback([chosen, task] {
    *chosen = [task](Session& session) { return List(session, *task); };
  });
  CLI::App* set = noun->add_subcommand("set", "Point an alias at a version");
  auto flags = std::make_shared<SetFlags>();
  set->add_option("task", flags->task, "The task's name")->required();
  set->add_option("alias", flags->name, "e.g. production")->required();
  set->add_option("version", flags->version, "Version number")
      ->required()
      ->check(CLI::PositiveNumber);
  set->add_option("--expect", flags->expected,
                  "Move only from this version (0: only if the alias is new)")
      ->check(CLI::NonNegativeNumber);
  set->footer(
      "Examples:\n  promptctl alias set pets production 3\n"
      "  promptctl alias set pets production 3 --expect 2");
  set->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Set(session, *flags); };
  });
}

}  // namespace promptd::client
