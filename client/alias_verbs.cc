// promptctl alias list|show|set|rollback|delete|history
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/paging.h"
#include "client/prompt_view.h"
#include "client/proto_json.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"

namespace promptd::client {
namespace {

void Print(Session& session, const v1::Alias& alias) {
  if (session.console.json()) {
    session.console.Json(ToJson(alias));
  } else {
    session.console.out() << AliasTable({alias}, session.clock.Now());
  }
}

absl::Status List(Session& session, const std::string& task) {
  v1::ListAliasesRequest request;
  request.set_task(task);
  ASSIGN_OR_RETURN(
      const v1::ListAliasesResponse reply,
      session.api.Call(&v1::PromptService::Stub::ListAliases, request));
  if (session.console.json()) {
    session.console.Json(ToJson(reply)["aliases"]);
  } else {
    session.console.out() << AliasTable(
        {reply.aliases().begin(), reply.aliases().end()}, session.clock.Now());
  }
  return absl::OkStatus();
}

// What the verbs about one alias take; each uses some.
struct AliasFlags {
  std::string task;
  std::string name;
  int64_t version = 0;
  std::optional<int64_t> expected;
  std::string reason;
  std::string at;
  int limit = 20;
};

// "2026-03-01T12:00:00Z", "2026-03-01T12:00:00+02:00" or a date, which is its
// beginning in UTC.
absl::StatusOr<absl::Time> ParseTimeOfDay(const std::string& text) {
  absl::Time time;
  std::string ignored;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &ignored) ||
      absl::ParseTime("%Y-%m-%d", text, &time, &ignored)) {
    return time;
  }
  return UsageError(absl::StrCat("--at \"", text,
                                 "\" is no time: write e.g. "
                                 "2026-03-01T12:00:00Z or 2026-03-01"));
}

absl::Status Show(Session& session, const AliasFlags& flags) {
  v1::GetAliasRequest request;
  request.set_task(flags.task);
  request.set_name(flags.name);
  if (!flags.at.empty()) {
    ASSIGN_OR_RETURN(const absl::Time at, ParseTimeOfDay(flags.at));
    const int64_t seconds = absl::ToUnixSeconds(at);
    request.mutable_at_time()->set_seconds(seconds);
    request.mutable_at_time()->set_nanos(static_cast<int32_t>(
        absl::ToInt64Nanoseconds(at - absl::FromUnixSeconds(seconds))));
  }
  ASSIGN_OR_RETURN(
      const v1::Alias alias,
      session.api.Call(&v1::PromptService::Stub::GetAlias, request));
  Print(session, alias);
  return absl::OkStatus();
}

// The fields that every move has.
template <typename Request>
Request MoveRequest(const AliasFlags& flags) {
  Request request;
  request.set_task(flags.task);
  request.set_name(flags.name);
  request.set_reason(flags.reason);
  if (flags.expected) request.set_expected_version(*flags.expected);
  return request;
}

absl::Status Set(Session& session, const AliasFlags& flags) {
  auto request = MoveRequest<v1::SetAliasRequest>(flags);
  request.set_version(flags.version);
  ASSIGN_OR_RETURN(
      const v1::Alias alias,
      session.api.Call(&v1::PromptService::Stub::SetAlias, request));
  Print(session, alias);
  return absl::OkStatus();
}

absl::Status Rollback(Session& session, const AliasFlags& flags) {
  ASSIGN_OR_RETURN(
      const v1::Alias alias,
      session.api.Call(&v1::PromptService::Stub::RollbackAlias,
                       MoveRequest<v1::RollbackAliasRequest>(flags)));
  Print(session, alias);
  return absl::OkStatus();
}

absl::Status Delete(Session& session, const AliasFlags& flags) {
  RETURN_IF_ERROR(session.api
                      .Call(&v1::PromptService::Stub::DeleteAlias,
                            MoveRequest<v1::DeleteAliasRequest>(flags))
                      .status());
  session.console.Note(absl::StrCat("deleted ", flags.task, "@", flags.name,
                                    "; its history stays"));
  if (session.console.json()) session.console.Json(nlohmann::json::object());
  return absl::OkStatus();
}

absl::Status History(Session& session, const AliasFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<v1::AliasMove> moves,
                   AllPages<v1::AliasMove>(
                       [&](const std::string& token) {
                         v1::ListAliasHistoryRequest request;
                         request.set_task(flags.task);
                         request.set_name(flags.name);
                         request.set_page_token(token);
                         return session.api.Call(
                             &v1::PromptService::Stub::ListAliasHistory,
                             request);
                       },
                       [](const auto& reply) -> auto& { return reply.moves(); },
                       static_cast<size_t>(flags.limit)));
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const v1::AliasMove& move : moves) json.push_back(ToJson(move));
    session.console.Json(json);
  } else {
    session.console.out() << AliasHistoryTable(moves, session.clock.Now());
  }
  return absl::OkStatus();
}

// A verb about one alias.
CLI::App* AddVerb(CLI::App* noun, const char* verb, const char* description,
                  const std::shared_ptr<AliasFlags>& flags,
                  absl::Status (*run)(Session&, const AliasFlags&),
                  Action* chosen) {
  CLI::App* app = noun->add_subcommand(verb, description);
  app->add_option("task", flags->task, "The task's name")->required();
  app->add_option("alias", flags->name, "e.g. production")->required();
  app->callback([chosen, flags, run] {
    *chosen = [flags, run](Session& session) { return run(session, *flags); };
  });
  return app;
}

void AddMoveFlags(CLI::App* app, const std::shared_ptr<AliasFlags>& flags) {
  app->add_option("--expect", flags->expected,
                  "Only if it is at this version (0: only if it is new)")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--reason", flags->reason, "Why, for the history");
}

void AddSet(CLI::App* noun, Action* chosen) {
  const auto flags = std::make_shared<AliasFlags>();
  CLI::App* app =
      AddVerb(noun, "set", "Point an alias at a version", flags, Set, chosen);
  app->add_option("version", flags->version, "Version number")
      ->required()
      ->check(CLI::PositiveNumber);
  AddMoveFlags(app, flags);
  app->footer(
      "Examples:\n  promptctl alias set pets production 3\n"
      "  promptctl alias set pets production 3 --expect 2 --reason \"better on "
      "night shots\"");
}

void AddReads(CLI::App* noun, Action* chosen) {
  const auto shown = std::make_shared<AliasFlags>();
  CLI::App* show = AddVerb(noun, "show", "Where an alias points, or pointed",
                           shown, Show, chosen);
  show->add_option("--at", shown->at,
                   "A time, e.g. 2026-03-01T12:00:00Z, or a date");
  show->footer(
      "Examples:\n  promptctl alias show pets production\n"
      "  promptctl alias show pets production --at 2026-03-01");
  const auto listed = std::make_shared<AliasFlags>();
  CLI::App* history =
      AddVerb(noun, "history", "Every move of an alias, newest first", listed,
              History, chosen);
  history->add_option("--limit", listed->limit, "At most this many; 0: all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  history->footer("Example:\n  promptctl alias history pets production");
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
  AddSet(noun, chosen);
  AddReads(noun, chosen);
  const auto rolled = std::make_shared<AliasFlags>();
  CLI::App* rollback =
      AddVerb(noun, "rollback", "Undo the last move; again, the one before it",
              rolled, Rollback, chosen);
  AddMoveFlags(rollback, rolled);
  rollback->footer(
      "Example:\n  promptctl alias rollback pets production --reason "
      "\"worse at night\"");
  const auto deleted = std::make_shared<AliasFlags>();
  CLI::App* remove = AddVerb(noun, "delete",
                             "Forget an alias; its history stays, and a "
                             "rollback brings it back",
                             deleted, Delete, chosen);
  AddMoveFlags(remove, deleted);
  remove->footer("Example:\n  promptctl alias delete pets canary");
}

}  // namespace promptd::client
