// An Open Inference Protocol request, held against its model.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "inference/inference.pb.h"
#include "server/infer_model.h"
#include "server/infer_tensors.h"
#include "server/shared_memory.h"

namespace promptd::server {

struct WantedOutput {
  std::string name;
  // Above 0: the k best classes as text instead of the numbers.
  int64_t classification = 0;
  // Where its bytes go, `place` of `region`; null: into the reply.
  SharedRegions::Region region = nullptr;
  SharedPlace place = {};
};

struct InferWork {
  int64_t rows = 0;  // images, or texts
  // Both borrowed from the request or `copies`; one of them is empty.
  std::vector<absl::string_view> images;
  std::vector<absl::Span<const float>> pixels;
  std::vector<OwnedBytes> copies;  // of shared memory
  std::vector<std::string> texts;
  std::vector<std::string> labels;  // of zero-shot
  std::string label_template;       // empty: the default one
  std::vector<WantedOutput> outputs;
  absl::Duration timeout = absl::InfiniteDuration();
  bool no_cache = false;  // encode, whatever was encoded before
};

// The shared memory that a request may name.
struct SharedAccess {
  const SharedRegions* regions;
  std::string tenant;
  int64_t max_bytes;  // copied for one request
};

// INVALID_ARGUMENT (INVALID_INFER_REQUEST) with all that is wrong: tensors that
// the model does not have or lacks, types, shapes against the model and against
// the contents, numbers that are not finite, outputs, parameters and regions.
absl::StatusOr<InferWork> ReadRequest(
    const InferModel& model, const inference::ModelInferRequest& request,
    const SharedAccess& shared);

}  // namespace promptd::server
