#include "clip/modified_resnet.h"

#include <ATen/ops/avg_pool2d.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace promptd::clip {
namespace {

constexpr int64_t kExpansion = 4;

at::Tensor Halve(const at::Tensor& x) { return at::avg_pool2d(x, {2, 2}); }

// Reads convolutions and makes them only while nothing is wrong, so that one
// pass names every bad tensor.
class ConvReader {
 public:
  ConvReader(TensorReader& reader, const at::TensorOptions& options)
      : reader_(reader), options_(options) {}

  // "<conv>.weight" [out, in, k, k] and the four tensors of "<norm>.".
  FrozenConv Read(const std::string& conv, const std::string& norm, int64_t in,
                  int64_t out, int64_t kernel_side,
                  FrozenConv::Geometry geometry) {
    const at::Tensor kernel = reader_.Read(absl::StrCat(conv, ".weight"),
                                           {out, in, kernel_side, kernel_side});
    BatchNorm batch_norm;
    batch_norm.weight = reader_.Read(absl::StrCat(norm, ".weight"), {out});
    batch_norm.bias = reader_.Read(absl::StrCat(norm, ".bias"), {out});
    batch_norm.running_mean =
        reader_.Read(absl::StrCat(norm, ".running_mean"), {out});
    batch_norm.running_var =
        reader_.Read(absl::StrCat(norm, ".running_var"), {out});
    if (!reader_.ok()) return {};
    return FrozenConv(kernel, batch_norm, geometry, options_);
  }

 private:
  TensorReader& reader_;
  at::TensorOptions options_;
};

AttentionPool ReadPool(const weights::VisionConfig& config, int embed_dim,
                       const at::TensorOptions& options, TensorReader& reader) {
  const int64_t width = config.width * 32;  // D
  const int64_t side = config.image_size / 32;
  const std::string prefix = "visual.attnpool.";
  const auto weight = [&](const char* name, int64_t out) {
    return reader.Read(absl::StrCat(prefix, name, ".weight"), {out, width});
  };
  const auto bias = [&](const char* name, int64_t out) {
    return reader.Read(absl::StrCat(prefix, name, ".bias"), {out});
  };
  AttentionPoolWeights pool;
  pool.positional_embedding = reader.Read(
      absl::StrCat(prefix, "positional_embedding"), {side * side + 1, width});
  pool.q_weight = weight("q_proj", width);
  pool.q_bias = bias("q_proj", width);
  pool.k_weight = weight("k_proj", width);
  pool.k_bias = bias("k_proj", width);
  pool.v_weight = weight("v_proj", width);
  pool.v_bias = bias("v_proj", width);
  pool.out_weight = weight("c_proj", embed_dim);
  pool.out_bias = bias("c_proj", embed_dim);
  if (!reader.ok()) return {};
  return AttentionPool(pool, config.resnet_heads(), options);
}

}  // namespace

std::unique_ptr<ModifiedResNet> ModifiedResNet::Load(
    const weights::VisionConfig& config, int embed_dim,
    const at::TensorOptions& options, TensorReader& reader) {
  std::unique_ptr<ModifiedResNet> tower(new ModifiedResNet());
  tower->options_ = options;
  ConvReader convs(reader, options);
  const int64_t base = config.width;
  const int64_t image = config.image_size;
  tower->stem_.push_back(
      convs.Read("visual.conv1", "visual.bn1", 3, base / 2, 3, {2, 1, image}));
  tower->stem_.push_back(convs.Read("visual.conv2", "visual.bn2", base / 2,
                                    base / 2, 3, {1, 1, image / 2}));
  tower->stem_.push_back(convs.Read("visual.conv3", "visual.bn3", base / 2,
                                    base, 3, {1, 1, image / 2}));
  int64_t channels = base;
  int64_t side = image / 4;
  // The first stage's output; the stem's is as large, later ones are smaller.
  tower->largest_activation_ = base * kExpansion * side * side;
  for (size_t stage = 0; stage < config.resnet_layers.size(); ++stage) {
    const int64_t planes = base << stage;
    const int64_t out = planes * kExpansion;
    for (int index = 0; index < config.resnet_layers[stage]; ++index) {
      const std::string prefix =
          absl::StrCat("visual.layer", stage + 1, ".", index, ".");
      Block block;
      block.pooled = stage > 0 && index == 0;
      const int64_t inner = block.pooled ? side / 2 : side;
      block.conv1 = convs.Read(prefix + "conv1", prefix + "bn1", channels,
                               planes, 1, {1, 0, side});
      block.conv2 = convs.Read(prefix + "conv2", prefix + "bn2", planes, planes,
                               3, {1, 1, side});
      block.conv3 = convs.Read(prefix + "conv3", prefix + "bn3", planes, out, 1,
                               {1, 0, inner});
      if (block.pooled || channels != out) {
        block.downsample =
            convs.Read(prefix + "downsample.0", prefix + "downsample.1",
                       channels, out, 1, {1, 0, inner});
      }
      tower->blocks_.push_back(std::move(block));
      channels = out;
      side = inner;
    }
  }
  tower->pool_ = ReadPool(config, embed_dim, options, reader);
  if (!reader.ok()) return nullptr;
  return tower;
}

// open_clip's Bottleneck.forward; convolutions never stride, pooling does.
at::Tensor ModifiedResNet::RunBlock(const Block& block, const at::Tensor& x) {
  at::Tensor inner = block.conv2.ForwardRelu(block.conv1.ForwardRelu(x));
  if (block.pooled) inner = Halve(inner);
  at::Tensor shortcut = x;
  if (block.downsample) {
    shortcut = block.downsample->Forward(block.pooled ? Halve(x) : x);
  }
  return block.conv3.Forward(inner).add_(shortcut).relu_();
}

at::Tensor ModifiedResNet::Encode(const at::Tensor& pixels) const {
  at::Tensor x = pixels.to(options_, /*non_blocking=*/true)
                     .contiguous(at::MemoryFormat::ChannelsLast);
  for (const FrozenConv& conv : stem_) x = conv.ForwardRelu(x);
  x = Halve(x);
  for (const Block& block : blocks_) x = RunBlock(block, x);
  return pool_.Forward(x).to(at::kFloat);
}

int64_t ModifiedResNet::activation_bytes() const {
  return largest_activation_ *
         static_cast<int64_t>(options_.dtype().itemsize());
}

int64_t ModifiedResNet::multiply_adds() const {
  int64_t sum = pool_.multiply_adds();
  for (const FrozenConv& conv : stem_) sum += conv.multiply_adds();
  for (const Block& block : blocks_) {
    sum += block.conv1.multiply_adds() + block.conv2.multiply_adds() +
           block.conv3.multiply_adds();
    if (block.downsample) sum += block.downsample->multiply_adds();
  }
  return sum;
}

}  // namespace promptd::clip
