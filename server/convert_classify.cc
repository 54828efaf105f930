#include "server/convert_classify.h"

#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_time.h"
#include "server/item_checks.h"

namespace promptd::server {
namespace {

absl::Status FillResult(const worker::ImageOutcome& image,
                        const std::vector<std::string>& class_names,
                        v1::ImageResult* out) {
  if (!image.status.ok()) {
    SetItemError(image.status, out);
    return absl::OkStatus();
  }
  for (const worker::Scored& scored : image.scores) {
    if (scored.class_index < 0 ||
        static_cast<size_t>(scored.class_index) >= class_names.size()) {
      return MakeError(absl::StatusCode::kInternal, "BAD_CLASS_INDEX",
                       "the worker scored a class that does not exist");
    }
    v1::Score* score = out->add_scores();
    score->set_class_name(class_names[scored.class_index]);
    score->set_class_index(scored.class_index);
    score->set_probability(scored.probability);
    score->set_similarity(scored.similarity);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ToProto(const worker::ClassifyOutcome& outcome,
                     const std::vector<std::string>& class_names,
                     v1::ClassifyResponse* out) {
  for (const worker::ImageOutcome& image : outcome.images) {
    RETURN_IF_ERROR(FillResult(image, class_names, out->add_results()));
  }
  v1::StageTimings* timings = out->mutable_timings();
  ToProto(outcome.timings.decode, timings->mutable_decode());
  ToProto(outcome.timings.queue, timings->mutable_queue());
  ToProto(outcome.timings.encode, timings->mutable_encode());
  ToProto(outcome.timings.head, timings->mutable_head());
  return absl::OkStatus();
}

}  // namespace promptd::server
