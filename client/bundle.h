// The encoder and the example tasks that come with promptd.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::client {

// The folder of the running executable.
std::string ExecutableFolder();

// The models folder: $PROMPTD_MODELS, else `models` or `share/promptd/models`
// in the executable's folder or one of its parents.
// NOT_FOUND (MODELS_NOT_FOUND) lists where it looked.
absl::StatusOr<std::string> FindModels();

// A bundled task's folder, with its name; an empty `task` stands for the one
// named in models/tasks/DEFAULT.
struct BundledTask {
  std::string name;
  std::string folder;
};
// NOT_FOUND (TASK_NOT_BUNDLED) lists those there are.
absl::StatusOr<BundledTask> FindBundledTask(const std::string& models,
                                            const std::string& task);

// Whether a bundled task (a folder with training images) has this name.
bool IsBundledTask(const std::string& name);
// Whether `folder` lies among the bundled tasks.
bool IsBundledFolder(const std::string& folder);

// The server's executable: `given` when not empty, else `promptd` beside this
// executable, in ../server, or on the PATH. NOT_FOUND (SERVER_NOT_FOUND).
absl::StatusOr<std::string> FindServer(const std::string& given);

}  // namespace promptd::client
