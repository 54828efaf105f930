// promptctl task create, version import: contexts put to use without learning.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/class_flags.h"
#include "client/context_import.h"
#include "client/selector.h"
#include "client/train.h"
#include "client/verbs.h"
#include "client/version_archive.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"

namespace promptd::client {
namespace {

struct CreateFlags {
  std::string name;
  std::string from;
  ClassFlags classes;
};

struct ImportFlags {
  std::string file;
  std::string task;
  std::string encoder;
  std::string class_position;
  std::optional<int> epoch;
  ClassFlags classes;
};

// Nothing when there is no such task.
absl::StatusOr<std::optional<v1::Task>> FindTask(Session& session,
                                                 const std::string& name) {
  v1::GetTaskRequest request;
  request.set_name(name);
  absl::StatusOr<v1::Task> task =
      session.api.Call(&v1::PromptService::Stub::GetTask, request);
  if (absl::IsNotFound(task.status())) return std::optional<v1::Task>();
  if (!task.ok()) return task.status();
  return std::optional<v1::Task>(*std::move(task));
}

absl::Status Create(Session& session, const CreateFlags& flags) {
  TrainOptions options;
  options.task = flags.name;
  options.dataset = flags.classes.dataset;
  ASSIGN_OR_RETURN(options.class_names, ClassNamesOf(flags.classes));
  ASSIGN_OR_RETURN(TaskSelector from, ParseTaskSelector(flags.from));
  ASSIGN_OR_RETURN(const std::optional<v1::Task> existing,
                   FindTask(session, flags.name));
  if (existing) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, "TASK_EXISTS",
        absl::StrCat("task \"", flags.name,
                     "\" exists: choose another name, or give it a new "
                     "version with `promptctl train`"));
  }
  v1::GetVersionRequest request;
  SetSelector(from, &request);
  ASSIGN_OR_RETURN(
      const v1::PromptVersion version,
      session.api.Call(&v1::PromptService::Stub::GetVersion, request));
  from.alias.clear();
  from.version = version.version();
  options.initial_version = from;
  options.encoder = version.spec().encoder();
  return ApplyContext(session, std::move(options));
}

// An archive says itself what a context of another program does not.
absl::Status ImportArchive(Session& session, const ImportFlags& flags) {
  if (flags.encoder.empty() && flags.class_position.empty() && !flags.epoch &&
      flags.classes.dataset.empty() && flags.classes.classes.empty() &&
      flags.classes.classes_file.empty()) {
    return ImportVersionArchive(session, flags.file, flags.task);
  }
  return UsageError(
      absl::StrCat(flags.file,
                   " is an archive of a version, which says all of that "
                   "itself: leave everything but --task out"));
}

absl::Status Import(Session& session, const ImportFlags& flags) {
  if (IsVersionArchive(flags.file)) return ImportArchive(session, flags);
  if (flags.task.empty()) {
    return UsageError("--task is required: the task that gets the version");
  }
  TrainOptions options;
  options.task = flags.task;
  options.dataset = flags.classes.dataset;
  ASSIGN_OR_RETURN(options.class_names, ClassNamesOf(flags.classes));
  options.class_position = flags.class_position;
  options.encoder = flags.encoder;
  if (options.encoder.empty()) {
    ASSIGN_OR_RETURN(const std::optional<v1::Task> existing,
                     FindTask(session, flags.task));
    if (existing) options.encoder = existing->encoder();
  }
  ASSIGN_OR_RETURN(options.context_digest,
                   SendContextFile(session, flags.file, flags.epoch));
  return ApplyContext(session, std::move(options));
}

}  // namespace

void AddTaskCreate(CLI::App* noun, Action* chosen) {
  CLI::App* app = noun->add_subcommand(
      "create", "A task of other classes that uses a learned context as it is");
  auto flags = std::make_shared<CreateFlags>();
  app->add_option("name", flags->name, "The new task's name")->required();
  app->add_option("--from-version", flags->from,
                  "Whose context: TASK, TASK@ALIAS or TASK:VERSION")
      ->required();
  AddClassFlags(app, &flags->classes);
  app->footer(
      "The context must be shared by all classes; a class-specific one fits "
      "its own\nclasses only. With a dataset the result is scored, zero-shot "
      "beside it.\n\nExamples:\n"
      "  promptctl task create birds --from-version pets:3 --dataset birds\n"
      "  promptctl task create farm --from-version pets --classes \"cow, "
      "hen\"");
  app->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Create(session, *flags); };
  });
}

void AddVersionImport(CLI::App* noun, Action* chosen) {
  CLI::App* app = noun->add_subcommand(
      "import",
      "A version from an archive of one, or from a context that another "
      "program learned");
  auto flags = std::make_shared<ImportFlags>();
  app->add_option("file", flags->file,
                  "An archive that `version export` wrote; CoOp's "
                  "prompt_learner/model.pth.tar-N, safetensors or npz with "
                  "\"ctx\"; or a folder with one of them")
      ->required();
  app->add_option("--task,-t", flags->task,
                  "Task that gets the version; of an archive only to change "
                  "it");
  AddClassFlags(app, &flags->classes);
  app->add_option("--encoder", flags->encoder,
                  "Encoder it was learned on (the task's, else the server's "
                  "default)");
  app->add_option("--class-position", flags->class_position,
                  "Where the class name stands: end, middle or front (default "
                  "end); the file does not say")
      ->check(CLI::IsMember({"end", "middle", "front"}));
  app->add_option("--epoch", flags->epoch,
                  "Of a folder: the checkpoint of this epoch");
  app->footer(
      "The file is read without running any of it, and told by its "
      "content.\n\nExamples:\n"
      "  promptctl version import pets-3.tar\n"
      "  promptctl version import model.pth.tar-50 --task imagenet --dataset "
      "imagenet\n"
      "  promptctl version import ./output --epoch 200 -t pets --classes-file "
      "pets.txt\n"
      "  promptctl version import ctx.npz -t pets -d pets --class-position "
      "middle");
  app->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Import(session, *flags); };
  });
}

}  // namespace promptd::client
