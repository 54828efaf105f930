// Which tensors a CLIP of a configuration has, and which configuration a set
// of tensors is of, both in open_clip's names. No torch.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/encoder_config.h"
#include "weights/raw_tensor.h"

namespace promptd::weights {

// Name to shape. Without the counters "num_batches_tracked", which evaluation
// does not use. The configuration is one that ParseEncoderConfig accepts.
std::map<std::string, std::vector<int64_t>> ExpectedTensors(
    const EncoderConfig& config);

// The architecture that the shapes say, by the rules of open_clip's
// build_model_from_openai_state_dict: heads are width / 64. Vision
// transformers wider than 1024 are refused, since the published ones have
// wider heads, which no shape tells. Activation and preprocessing are not
// set. INVALID_ARGUMENT (UNKNOWN_ARCHITECTURE).
absl::StatusOr<EncoderConfig> InferArchitecture(const RawTensors& tensors,
                                                absl::string_view source);

}  // namespace promptd::weights
