// Where the answers of open_clip lie. No torch.
#pragma once

#include <string>
#include <vector>

namespace promptd::clip {

// $PROMPTD_GOLDEN_DIR (make parity sets it), else tests/golden/clip.
std::string GoldenDir();
// The encoders to compare with open_clip: $PROMPTD_PARITY_ENCODERS, names with
// commas between them, else "tiny", "tiny_vit" and "embedded".
std::vector<std::string> ParityEncoders();
// The folder of an encoder that has goldens.
std::string EncoderPath(const std::string& name);
// CLIP's own 48894 merges.
std::string ClipMergesPath();

}  // namespace promptd::clip
