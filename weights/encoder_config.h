// The architecture of a CLIP, in open_clip's terms. No torch.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::weights {

// Image tower: a modified ResNet when `resnet_layers` is set, else a ViT.
struct VisionConfig {
  int image_size = 224;            // pixels, square
  int width = 64;                  // ResNet base width or ViT width
  std::vector<int> resnet_layers;  // blocks per stage, four of them
  int vit_layers = 0;
  int patch_size = 0;  // pixels, ViT only
  int head_width = 64;

  bool is_resnet() const { return !resnet_layers.empty(); }
  // Attention heads of the ResNet's pooling, open_clip's rule.
  int resnet_heads() const { return width * 32 / head_width; }
};

struct TextConfig {
  int context_length = 77;
  int vocab_size = 49408;
  int width = 512;
  int heads = 8;
  int layers = 12;
};

struct PreprocessConfig {
  std::array<float, 3> mean{};  // RGB, of pixels in 0..1
  std::array<float, 3> std{};
};

struct EncoderConfig {
  int embed_dim = 512;
  bool quick_gelu = false;
  // A small encoder for trying promptd out, not for a user's own images:
  // "promptd": {"demonstration": true}, which open_clip does not read.
  bool demonstration = false;
  VisionConfig vision;
  TextConfig text;
  PreprocessConfig preprocess;
};

// Reads open_clip_config.json ("model_cfg", "preprocess_cfg" and our optional
// "promptd"). Members of open_clip that this build has no arithmetic for are
// accepted at open_clip's default value and refused otherwise; unknown members
// are refused. INVALID_ARGUMENT (BAD_ENCODER_CONFIG) names all of them.
absl::StatusOr<EncoderConfig> ParseEncoderConfig(absl::string_view json);

// The text of an open_clip_config.json that open_clip reads too and that
// ParseEncoderConfig reads back to the same configuration; the same bytes for
// the same configuration.
std::string WriteEncoderConfig(const EncoderConfig& config);

}  // namespace promptd::weights
