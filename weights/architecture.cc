#include "weights/architecture.h"

#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::weights {
namespace {

constexpr int64_t kHeadWidth = 64;
constexpr int64_t kWidestOf64 = 1024;  // ViT-H's heads have 80, ViT-g's 88

using Shapes = std::map<std::string, std::vector<int64_t>>;

void AddWeightAndBias(const std::string& name, std::vector<int64_t> shape,
                      Shapes& shapes) {
  shapes[name + ".bias"] = {shape[0]};
  shapes[name + ".weight"] = std::move(shape);
}

void AddTransformer(const std::string& prefix, int64_t width, int layers,
                    Shapes& shapes) {
  for (int layer = 0; layer < layers; ++layer) {
    const std::string block = absl::StrCat(prefix, "resblocks.", layer, ".");
    AddWeightAndBias(block + "ln_1", {width}, shapes);
    shapes[block + "attn.in_proj_weight"] = {3 * width, width};
    shapes[block + "attn.in_proj_bias"] = {3 * width};
    AddWeightAndBias(block + "attn.out_proj", {width, width}, shapes);
    AddWeightAndBias(block + "ln_2", {width}, shapes);
    AddWeightAndBias(block + "mlp.c_fc", {4 * width, width}, shapes);
    AddWeightAndBias(block + "mlp.c_proj", {width, 4 * width}, shapes);
  }
}

void AddVisionTransformer(const EncoderConfig& config, Shapes& shapes) {
  const VisionConfig& vision = config.vision;
  const int64_t width = vision.width, patch = vision.patch_size;
  const int64_t side = vision.image_size / vision.patch_size;
  shapes["visual.class_embedding"] = {width};
  shapes["visual.positional_embedding"] = {side * side + 1, width};
  shapes["visual.proj"] = {width, config.embed_dim};
  shapes["visual.conv1.weight"] = {width, 3, patch, patch};
  AddWeightAndBias("visual.ln_pre", {width}, shapes);
  AddWeightAndBias("visual.ln_post", {width}, shapes);
  AddTransformer("visual.transformer.", width, vision.vit_layers, shapes);
}

// A convolution without bias and the batch norm after it.
void AddConv(const std::string& conv, const std::string& norm, int64_t in,
             int64_t out, int64_t kernel, Shapes& shapes) {
  shapes["visual." + conv + ".weight"] = {out, in, kernel, kernel};
  AddWeightAndBias("visual." + norm, {out}, shapes);
  shapes["visual." + norm + ".running_mean"] = {out};
  shapes["visual." + norm + ".running_var"] = {out};
}

void AddResNet(const EncoderConfig& config, Shapes& shapes) {
  const VisionConfig& vision = config.vision;
  const int64_t width = vision.width;
  AddConv("conv1", "bn1", 3, width / 2, 3, shapes);
  AddConv("conv2", "bn2", width / 2, width / 2, 3, shapes);
  AddConv("conv3", "bn3", width / 2, width, 3, shapes);
  int64_t channels = width;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t planes = width << stage;
    for (int index = 0; index < vision.resnet_layers[stage]; ++index) {
      const std::string block =
          absl::StrCat("layer", stage + 1, ".", index, ".");
      AddConv(block + "conv1", block + "bn1", channels, planes, 1, shapes);
      AddConv(block + "conv2", block + "bn2", planes, planes, 3, shapes);
      AddConv(block + "conv3", block + "bn3", planes, 4 * planes, 1, shapes);
      if (index == 0) {
        AddConv(block + "downsample.0", block + "downsample.1", channels,
                4 * planes, 1, shapes);
      }
      channels = 4 * planes;
    }
  }
  const int64_t side = vision.image_size / 32;
  const std::string pool = "visual.attnpool.";
  shapes[pool + "positional_embedding"] = {side * side + 1, channels};
  for (const char* projection : {"q_proj", "k_proj", "v_proj"}) {
    AddWeightAndBias(pool + projection, {channels, channels}, shapes);
  }
  AddWeightAndBias(pool + "c_proj", {config.embed_dim, channels}, shapes);
}

// Reads sizes off shapes and remembers the first thing that is wrong.
class ShapeReader {
 public:
  ShapeReader(const RawTensors& tensors, absl::string_view source)
      : tensors_(tensors), source_(source) {}

  int Size(const std::string& name, size_t rank, size_t axis) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      Refuse(absl::StrCat(name, " is missing"));
      return 1;
    }
    const std::vector<int64_t>& shape = found->second.shape;
    if (shape.size() != rank || shape[axis] > 1 << 20) {
      Refuse(absl::StrCat(name, " has another shape than a CLIP's"));
      return 1;
    }
    return static_cast<int>(shape[axis]);
  }

  // The side of a square grid with one token beside it.
  int Grid(const std::string& name) {
    const int tokens = Size(name, 2, 0) - 1;
    const int side = static_cast<int>(std::lround(std::sqrt(tokens)));
    if (side < 1 || side * side != tokens) {
      Refuse(absl::StrCat(name, " is not of a square grid and one token"));
    }
    return side;
  }

  // Heads of width 64.
  int Heads(int width, absl::string_view tower) {
    if (width % kHeadWidth != 0) {
      Refuse(absl::StrCat("the ", tower, " tower's width ", width,
                          " does not say how many heads it has"));
    }
    return width / static_cast<int>(kHeadWidth);
  }

  // How many different numbers follow `prefix` in names.
  int Count(const std::string& prefix) const {
    std::set<std::string> numbers;
    for (auto at = tensors_.lower_bound(prefix);
         at != tensors_.end() && absl::StartsWith(at->first, prefix); ++at) {
      const std::string rest = at->first.substr(prefix.size());
      numbers.insert(rest.substr(0, rest.find('.')));
    }
    return static_cast<int>(numbers.size());
  }

  void Refuse(absl::string_view what) {
    if (!status_.ok()) return;
    status_ = MakeError(
        absl::StatusCode::kInvalidArgument, "UNKNOWN_ARCHITECTURE",
        absl::StrCat(source_, ": ", what,
                     ": give the folder that holds the weights with their "
                     "open_clip_config.json or config.json"));
  }
  const absl::Status& status() const { return status_; }

 private:
  const RawTensors& tensors_;
  const absl::string_view source_;
  absl::Status status_;
};

void InferVision(ShapeReader& shapes, bool transformer, VisionConfig& vision) {
  vision.head_width = static_cast<int>(kHeadWidth);
  if (transformer) {
    vision.width = shapes.Size("visual.conv1.weight", 4, 0);
    vision.patch_size = shapes.Size("visual.conv1.weight", 4, 3);
    vision.image_size =
        vision.patch_size * shapes.Grid("visual.positional_embedding");
    vision.vit_layers = shapes.Count("visual.transformer.resblocks.");
    if (vision.width > kWidestOf64) {
      shapes.Refuse(absl::StrCat("vision transformers of width ", vision.width,
                                 " have heads that no shape tells"));
    }
    shapes.Heads(vision.width, "image");
    return;
  }
  vision.width = shapes.Size("visual.layer1.0.conv1.weight", 4, 0);
  for (int stage = 1; stage <= 4; ++stage) {
    vision.resnet_layers.push_back(
        shapes.Count(absl::StrCat("visual.layer", stage, ".")));
  }
  vision.image_size = 32 * shapes.Grid("visual.attnpool.positional_embedding");
}

}  // namespace

Shapes ExpectedTensors(const EncoderConfig& config) {
  const int64_t width = config.text.width;
  Shapes shapes;
  shapes["logit_scale"] = {};
  shapes["token_embedding.weight"] = {config.text.vocab_size, width};
  shapes["positional_embedding"] = {config.text.context_length, width};
  shapes["text_projection"] = {width, config.embed_dim};
  AddWeightAndBias("ln_final", {width}, shapes);
  AddTransformer("transformer.", width, config.text.layers, shapes);
  if (config.vision.is_resnet()) {
    AddResNet(config, shapes);
  } else {
    AddVisionTransformer(config, shapes);
  }
  return shapes;
}

absl::StatusOr<EncoderConfig> InferArchitecture(const RawTensors& tensors,
                                                absl::string_view source) {
  ShapeReader shapes(tensors, source);
  if (tensors.count("text_model.final_layer_norm.weight") > 0) {
    shapes.Refuse("the tensors have Hugging Face's names");
  }
  EncoderConfig config;
  config.embed_dim = shapes.Size("text_projection", 2, 1);
  config.text.context_length = shapes.Size("positional_embedding", 2, 0);
  config.text.vocab_size = shapes.Size("token_embedding.weight", 2, 0);
  config.text.width = shapes.Size("ln_final.weight", 1, 0);
  config.text.heads = shapes.Heads(config.text.width, "text");
  config.text.layers = shapes.Count("transformer.resblocks.");
  InferVision(shapes, tensors.count("visual.proj") > 0, config.vision);
  RETURN_IF_ERROR(shapes.status());
  // The rules for configurations hold for inferred ones, too.
  config.preprocess.std = {1, 1, 1};
  const absl::Status valid =
      ParseEncoderConfig(WriteEncoderConfig(config)).status();
  if (!valid.ok()) shapes.Refuse(valid.message());
  RETURN_IF_ERROR(shapes.status());
  return config;
}

}  // namespace promptd::weights
