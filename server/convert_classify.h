// Classification outcomes as promptd.v1 messages. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "promptd/v1/classify.pb.h"
#include "worker/classify_call.h"

namespace promptd::server {

// The answers of head number `head`, whose classes are `class_names`, image by
// image. INTERNAL (BAD_CLASS_INDEX) when a score names no class.
absl::Status FillResults(
    const std::vector<worker::ImageOutcome>& images, size_t head,
    const std::vector<std::string>& class_names,
    google::protobuf::RepeatedPtrField<v1::ImageResult>* out);

// Raises each stage of `out` to the outcome's where that took longer.
void MergeTimings(const worker::ClassifyOutcome& outcome,
                  v1::StageTimings* out);

v1::CacheState CacheStateOf(worker::CacheUse use);

}  // namespace promptd::server
