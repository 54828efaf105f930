// How promptctl shows datasets and what became of a push. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/push.h"
#include "nlohmann/json.hpp"
#include "promptd/v1/dataset.pb.h"

namespace promptd::client {

std::string DatasetTable(const std::vector<v1::Dataset>& datasets,
                         absl::Time now);

// The dataset, with uploaded_images, uploaded_bytes and rejected.
nlohmann::json ToJson(const PushOutcome& outcome);
nlohmann::json ToJson(const std::vector<datasets::SkippedFile>& files);

}  // namespace promptd::client
