// A tiny text tower whose every parameter is random. open_clip's default
// initialisation has zero biases and identical norms: parity there would
// prove nothing. Linking this file also gives every test of the binary one
// thread and the same random numbers on each run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "clip/prompt_text.h"
#include "clip/text_weights.h"
#include "common/float_tensor.h"
#include "weights/encoder_config.h"

namespace promptd::clip {

weights::EncoderConfig TinyTextConfig(int width, int heads, int layers,
                                      bool quick_gelu);

// open_clip's names -> tensors with a healthy scale.
std::map<std::string, FloatTensor> RandomTextTensors(
    const weights::EncoderConfig& config, uint64_t seed);

// The same through a safetensors file, as in production.
TextWeights RandomTextWeights(const weights::EncoderConfig& config,
                              uint64_t seed);

// SOT, `context_tokens` placeholders, `name_tokens` random ids, the dot, EOT.
// With `merged_dot` the last name token and the dot are one id, as for a name
// that ends in ")".
TokenRow RandomPromptRow(const weights::EncoderConfig& config,
                         int context_tokens, int name_tokens, bool merged_dot,
                         uint64_t seed);

// Tokenised "<M placeholders> <name>." texts with one context for all, the
// name at its end.
std::vector<PromptText> UnifiedPrompts(const std::vector<TokenRow>& rows,
                                       int64_t context_tokens);

}  // namespace promptd::clip
