// Classifies image files with several tasks, each image encoded once.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "client/classify.h"
#include "client/selector.h"
#include "client/session.h"

namespace promptd::client {

// By task; `options` names the images, top_k and no_cache. A file that cannot
// be read or classified, and a task that cannot answer, get errors of their
// own. Errors are those of the server as a whole.
absl::StatusOr<std::vector<ClassifyOutcome>> ClassifyFilesWithTasks(
    Session& session, const ClassifyOptions& options,
    const std::vector<TaskSelector>& tasks);

}  // namespace promptd::client
