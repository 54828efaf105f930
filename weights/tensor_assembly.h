// Tensors of a checkpoint under open_clip's names, complete and checked.
// Internal to weights/.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/encoder_config.h"
#include "weights/raw_tensor.h"

namespace promptd::weights {

// How a tensor is made of the checkpoint's: of one, perhaps transposed, or of
// several one after the other.
struct TensorSource {
  std::vector<std::string> names;
  bool transposed = false;
};

// open_clip's own names.
TensorSource OpenClipSource(const std::string& name);
// Those of Hugging Face's CLIPModel.
TensorSource HuggingFaceSource(const std::string& name);

// Every tensor that the configuration wants, out of `found`. Counters, masks
// and position ids that hold no weights are passed over. INVALID_ARGUMENT
// (BAD_ENCODER_WEIGHTS) names what is missing, extra, misshapen, of integers
// or not finite, the first 20 of it, by the checkpoint's own names; `source`
// is the file or folder.
absl::StatusOr<RawTensors> AssembleTensors(
    const EncoderConfig& config, RawTensors found,
    const std::function<TensorSource(const std::string&)>& source_of,
    absl::string_view source);

}  // namespace promptd::weights
