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

// What calibrated the probabilities of head number `head`, if something did.
// `Answer` has a field `temperature`.
template <typename Answer>
void SetTemperature(const worker::ClassifyOutcome& outcome, size_t head,
                    Answer* answer) {
  if (head < outcome.temperatures.size() && outcome.temperatures[head] != 1) {
    answer->set_temperature(outcome.temperatures[head]);
  }
}

}  // namespace promptd::server
