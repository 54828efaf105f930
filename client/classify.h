// Classifies image files in as few calls as the server's limits allow.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/image_batches.h"
#include "client/selector.h"
#include "client/session.h"
#include "promptd/v1/classify.pb.h"

namespace promptd::client {

struct ClassifyOptions {
  std::vector<std::string> images;
  TaskSelector task;                // a learned prompt, or
  std::vector<std::string> labels;  // zero-shot with these
  std::string prompt_template;      // zero-shot only; empty: the server's
  std::string encoder;              // zero-shot only
  int top_k = 5;
  bool no_cache = false;
  // Sends the digests first, and the bytes of those images only that the
  // server does not know by them.
  bool by_digest = false;
  v1::Priority priority = v1::PRIORITY_UNSPECIFIED;
};

struct FileResult {
  std::string file;
  std::vector<v1::Score> scores;  // best first; empty on error
  std::string error_reason;
  std::string error_message;
  v1::CacheState cache = v1::CACHE_STATE_UNSPECIFIED;
  int batch_size = 0;  // images that the server encoded together
};

struct ClassifyOutcome {
  std::vector<FileResult> files;  // in the order asked
  int64_t version = 0;            // 0 for zero-shot
  std::string version_digest;
  std::string encoder_digest;
  // Why the task answers nothing; of several tasks only.
  std::string error_reason;
  std::string error_message;
  v1::StageTimings timings;  // of the slowest call
  int calls = 0;
  int failed = 0;  // files with an error, or all of them
};

// A file that cannot be read or classified gets an error of its own. Errors
// are those of the server as a whole: TASK_NOT_FOUND, QUEUE_FULL, ...
absl::StatusOr<ClassifyOutcome> ClassifyFiles(Session& session,
                                              const ClassifyOptions& options);

// The rest is shared with multi_classify.h.

// One entry a file, without an answer.
ClassifyOutcome NoAnswers(const std::vector<std::string>& files);
void SetError(const absl::Status& status, FileResult* file);
// INTERNAL (BAD_REPLY) when there are not as many results as images.
absl::Status TakeResults(
    const google::protobuf::RepeatedPtrField<v1::ImageResult>& results,
    const ImageBatch& batch, ClassifyOutcome* outcome);
void KeepSlowest(const v1::StageTimings& timings, ClassifyOutcome* outcome);
// Once all results have come.
void CountFailed(ClassifyOutcome* outcome);

// INTERNAL (BAD_REPLY).
absl::Status BadReply(int answered, size_t asked, absl::string_view what);

}  // namespace promptd::client
