// promptctl task list|show|delete, version list|show|export; task create and
// version import stand in context_verbs.cc, version interpret in
// interpret_verb.cc, tags, lineage and deletion in version_care_verbs.cc
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/export.h"
#include "client/paging.h"
#include "client/prompt_view.h"
#include "client/proto_json.h"
#include "client/selector.h"
#include "client/text.h"
#include "client/verbs.h"
#include "client/version_archive.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"

namespace promptd::client {
namespace {

template <typename Item>
nlohmann::json JsonArray(const std::vector<Item>& items) {
  nlohmann::json json = nlohmann::json::array();
  for (const Item& item : items) json.push_back(ToJson(item));
  return json;
}

absl::Status ListTasks(Session& session) {
  ASSIGN_OR_RETURN(
      const std::vector<v1::Task> tasks,
      AllPages<v1::Task>(
          [&session](const std::string& token) {
            v1::ListTasksRequest request;
            request.set_page_token(token);
            return session.api.Call(&v1::PromptService::Stub::ListTasks,
                                    request);
          },
          [](const auto& reply) -> auto& { return reply.tasks(); }));
  if (session.console.json()) {
    session.console.Json(JsonArray(tasks));
  } else {
    session.console.out() << TaskTable(tasks, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status ShowTask(Session& session, const std::string& name) {
  v1::GetTaskRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(
      const v1::Task task,
      session.api.Call(&v1::PromptService::Stub::GetTask, request));
  if (session.console.json()) {
    session.console.Json(ToJson(task));
  } else {
    session.console.out() << TaskText(task, session.clock.Now());
  }
  return absl::OkStatus();
}

struct VersionListFlags {
  std::string task;
  std::vector<std::string> tags;
};

absl::Status ListVersions(Session& session, const VersionListFlags& flags) {
  ASSIGN_OR_RETURN(
      const std::vector<v1::PromptVersion> versions,
      AllPages<v1::PromptVersion>(
          [&](const std::string& token) {
            v1::ListVersionsRequest request;
            request.set_task(flags.task);
            request.set_page_token(token);
            for (const std::string& tag : flags.tags) request.add_tags(tag);
            return session.api.Call(&v1::PromptService::Stub::ListVersions,
                                    request);
          },
          [](const auto& reply) -> auto& { return reply.versions(); }));
  if (session.console.json()) {
    session.console.Json(JsonArray(versions));
  } else {
    session.console.out() << VersionTable(versions, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status ShowVersion(Session& session, const std::string& text) {
  ASSIGN_OR_RETURN(const TaskSelector selector, ParseTaskSelector(text));
  v1::GetVersionRequest request;
  SetSelector(selector, &request);
  ASSIGN_OR_RETURN(
      const v1::PromptVersion version,
      session.api.Call(&v1::PromptService::Stub::GetVersion, request));
  if (session.console.json()) {
    session.console.Json(ToJson(version));
  } else {
    session.console.out() << VersionText(version, session.clock.Now());
  }
  return absl::OkStatus();
}

struct ExportFlags {
  std::string version;
  std::string folder;
  std::string format = "safetensors";
  bool force = false;
};

absl::Status Export(Session& session, const ExportFlags& flags) {
  ASSIGN_OR_RETURN(const TaskSelector selector,
                   ParseTaskSelector(flags.version));
  if (selector.version == 0) {
    return UsageError(
        absl::StrCat("\"", flags.version,
                     "\" names no version number: an export is of one "
                     "fixed version, e.g. ",
                     selector.task, ":1"));
  }
  if (flags.format == "archive") {
    return ExportVersionArchive(session, selector, flags.folder, flags.force);
  }
  ExportOptions options;
  options.task = selector.task;
  options.version = selector.version;
  options.folder = flags.folder;
  options.force = flags.force;
  if (flags.format == "npz") options.format = ExportFormat::kNpz;
  if (flags.format == "coop") options.format = ExportFormat::kCoop;
  return ExportVersion(session, options);
}

void AddNamed(CLI::App* noun, const char* verb, const char* description,
              const char* argument, const char* help, const char* example,
              absl::Status (*run)(Session&, const std::string&),
              Action* chosen) {
  CLI::App* app = noun->add_subcommand(verb, description);
  auto name = std::make_shared<std::string>();
  app->add_option(argument, *name, help)->required();
  app->footer(absl::StrCat("Example:\n  ", example));
  app->callback([chosen, name, run] {
    *chosen = [name, run](Session& session) { return run(session, *name); };
  });
}

void AddVersionList(CLI::App* noun, Action* chosen) {
  CLI::App* list =
      noun->add_subcommand("list", "A task's versions, newest first");
  auto flags = std::make_shared<VersionListFlags>();
  list->add_option("task", flags->task, "The task's name")->required();
  list->add_option("--tag", flags->tags,
                   "Only versions with this tag, KEY or KEY=VALUE; repeat "
                   "for several")
      ->expected(1)
      ->take_all();
  list->footer(
      "Examples:\n  promptctl version list pets\n"
      "  promptctl version list pets --tag reviewed-by=ann");
  list->callback([chosen, flags] {
    *chosen = [flags](Session& session) {
      return ListVersions(session, *flags);
    };
  });
}

absl::Status DeleteTask(Session& session, const std::string& name) {
  v1::DeleteTaskRequest request;
  request.set_name(name);
  RETURN_IF_ERROR(
      session.api.Call(&v1::PromptService::Stub::DeleteTask, request).status());
  if (session.console.json()) {
    session.console.Json({{"deleted", name}});
  } else {
    session.console.Note(absl::StrCat("deleted  ", Printable(name)));
  }
  return absl::OkStatus();
}

}  // namespace

void AddTaskVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "task", "Label spaces with learned prompts");
  noun->add_subcommand("list", "All tasks")->callback([chosen] {
    *chosen = ListTasks;
  });
  AddNamed(noun, "show", "One task", "task", "The task's name",
           "promptctl task show pets", ShowTask, chosen);
  AddNamed(noun, "delete",
           "Forget a task and its versions; none may have an alias", "task",
           "The task's name", "promptctl task delete pets", DeleteTask, chosen);
  AddTaskCreate(noun, chosen);
}

void AddVersionVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "version", "Learned prompts of a task");
  AddVersionList(noun, chosen);
  AddNamed(noun, "show", "Lineage, settings and results of a version",
           "version", "TASK, TASK@ALIAS or TASK:VERSION",
           "promptctl version show pets:3", ShowVersion, chosen);
  CLI::App* app_export = noun->add_subcommand(
      "export", "Write a version's context and manifest to a folder");
  auto flags = std::make_shared<ExportFlags>();
  app_export->add_option("version", flags->version, "TASK:VERSION")->required();
  app_export
      ->add_option("--out", flags->folder,
                   "Folder, made where needed; of an archive the file")
      ->required();
  app_export
      ->add_option("--format", flags->format,
                   "safetensors, npz, coop, or archive: one file with all "
                   "that the version is, for `version import` elsewhere "
                   "(default safetensors)")
      ->check(CLI::IsMember({"safetensors", "npz", "coop", "archive"}));
  app_export->add_flag("--force", flags->force, "Overwrite files");
  app_export->footer(
      "Writes manifest.json and context.safetensors, context.npz or, for "
      "CoOp's own\ncode, prompt_learner/model.pth.tar-EPOCHS.\n\nExamples:\n"
      "  promptctl version export pets:3 --out ./pets-3\n"
      "  promptctl version export pets:3 --out ./pets-3 --format coop\n"
      "  promptctl version export pets:3 --out pets-3.tar --format archive");
  app_export->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Export(session, *flags); };
  });
  AddVersionCare(noun, chosen);
  AddVersionInterpret(noun, chosen);
  AddVersionImport(noun, chosen);
}

}  // namespace promptd::client
