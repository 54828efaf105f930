// Classifies image files in as few calls as the server's limits allow.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/selector.h"
#include "client/session.h"

namespace promptd::client {

struct ClassifyOptions {
  std::vector<std::string> images;
  TaskSelector task;                // a learned prompt, or
  std::vector<std::string> labels;  // zero-shot with these
  std::string prompt_template;      // zero-shot only; empty: the server's
  std::string encoder;              // zero-shot only
  int top_k = 5;
};

struct FileResult {
  std::string file;
  std::vector<v1::Score> scores;  // best first; empty on error
  std::string error_reason;
  std::string error_message;
};

struct ClassifyOutcome {
  std::vector<FileResult> files;  // in the order asked
  int64_t version = 0;            // 0 for zero-shot
  std::string version_digest;
  std::string encoder_digest;
  int calls = 0;
  int failed = 0;  // files with an error
};

// A file that cannot be read or classified gets an error of its own. Errors
// are those of the server as a whole: TASK_NOT_FOUND, QUEUE_FULL, ...
absl::StatusOr<ClassifyOutcome> ClassifyFiles(Session& session,
                                              const ClassifyOptions& options);

}  // namespace promptd::client
