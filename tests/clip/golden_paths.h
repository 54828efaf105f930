// Where the answers of open_clip lie. No torch.
#pragma once

#include <string>

namespace promptd::clip {

// $PROMPTD_GOLDEN_DIR (make parity sets it), else tests/golden/clip.
std::string GoldenDir();
// The folder of an encoder that has goldens: "tiny" or "embedded".
std::string EncoderPath(const std::string& name);
// CLIP's own 48894 merges.
std::string ClipMergesPath();

}  // namespace promptd::clip
