#include "server/convert_classify.h"

#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_time.h"
#include "server/item_checks.h"

namespace promptd::server {
namespace {

absl::Status FillScores(const std::vector<worker::Scored>& scores,
                        const std::vector<std::string>& class_names,
                        v1::ImageResult* out) {
  out->mutable_scores()->Reserve(static_cast<int>(scores.size()));
  for (const worker::Scored& scored : scores) {
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

void Raise(absl::Duration elapsed, google::protobuf::Duration* out) {
  const absl::Duration before =
      absl::Seconds(out->seconds()) + absl::Nanoseconds(out->nanos());
  ToProto(std::max(before, elapsed), out);
}

}  // namespace

absl::Status FillResults(
    const std::vector<worker::ImageOutcome>& images, size_t head,
    const std::vector<std::string>& class_names,
    google::protobuf::RepeatedPtrField<v1::ImageResult>* out) {
  for (const worker::ImageOutcome& image : images) {
    v1::ImageResult* result = out->Add();
    result->set_cache(CacheStateOf(image.cache));
    result->set_batch_size(image.batch_size);
    if (!image.status.ok()) {
      SetItemError(image.status, result);
      continue;
    }
    RETURN_IF_ERROR(FillScores(image.scores.at(head), class_names, result));
  }
  return absl::OkStatus();
}

void MergeTimings(const worker::ClassifyOutcome& outcome,
                  v1::StageTimings* out) {
  const worker::StageTimings& timings = outcome.timings;
  Raise(timings.hash, out->mutable_hash());
  Raise(timings.decode, out->mutable_decode());
  Raise(timings.queue, out->mutable_queue());
  Raise(timings.encode, out->mutable_encode());
  Raise(timings.head, out->mutable_head());
  Raise(outcome.total, out->mutable_total());
}

v1::CacheState CacheStateOf(worker::CacheUse use) {
  switch (use) {
    case worker::CacheUse::kBypass:
      return v1::CACHE_STATE_BYPASS;
    case worker::CacheUse::kHit:
      return v1::CACHE_STATE_HIT;
    case worker::CacheUse::kJoin:
      return v1::CACHE_STATE_JOIN;
    case worker::CacheUse::kMiss:
      return v1::CACHE_STATE_MISS;
  }
  return v1::CACHE_STATE_UNSPECIFIED;
}

}  // namespace promptd::server
