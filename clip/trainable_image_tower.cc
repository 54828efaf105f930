#include "clip/trainable_image_tower.h"

#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clip/block_weights.h"
#include "clip/host_floats.h"
#include "clip/tensor_reader.h"
#include "clip/torch_status.h"
#include "common/check.h"

namespace promptd::clip {
namespace {

constexpr char kPrefix[] = "visual.";
constexpr double kBatchNormEpsilon = 1e-5;
constexpr double kUnusedMomentum = 0.1;  // of statistics that do not move

bool IsStatistic(absl::string_view name) {
  return absl::EndsWith(name, ".running_mean") ||
         absl::EndsWith(name, ".running_var");
}

// Counters of open_clip's batch norms, which evaluation does not use.
bool IsCounter(absl::string_view name) {
  return absl::EndsWith(name, ".num_batches_tracked");
}

at::Tensor Halve(const at::Tensor& x) { return at::avg_pool2d(x, {2, 2}); }

// softmax(q k^T / sqrt(D)) v of x [B, T, H*D] each -> [B, T', H*D].
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  int64_t heads) {
  const auto split = [heads](const at::Tensor& x) {
    return x.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);
  };
  return at::scaled_dot_product_attention(split(q), split(k), split(v))
      .transpose(1, 2)
      .reshape(q.sizes());
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainableImageTower>> TrainableImageTower::Load(
    const weights::EncoderFolder& folder, const std::string& device) {
  return Guarded(
      absl::StrCat("load the image tower of encoder ", folder.name),
      [&]() -> absl::StatusOr<std::unique_ptr<TrainableImageTower>> {
        std::unique_ptr<TrainableImageTower> tower(new TrainableImageTower());
        tower->config_ = folder.config.vision;
        tower->quick_gelu_ = folder.config.quick_gelu;
        TensorReader reader(folder.tensors);
        for (const auto& [name, record] : folder.tensors.tensors()) {
          if (!absl::StartsWith(name, kPrefix) || IsCounter(name)) continue;
          const at::Tensor read = reader.Read(name, record.shape);
          if (!reader.ok()) return reader.status();
          at::Tensor tensor = read.to(at::TensorOptions(device),
                                      /*non_blocking=*/false, /*copy=*/true);
          tensor.set_requires_grad(!IsStatistic(name));
          if (tensor.requires_grad()) tower->parameters_.push_back(tensor);
          tower->tensors_.emplace(name.substr(sizeof(kPrefix) - 1), tensor);
        }
        return tower;
      });
}

at::Tensor TrainableImageTower::Forward(const at::Tensor& pixels) const {
  const at::Tensor x = pixels.to(parameters_.front().device());
  return config_.is_resnet() ? ForwardResNet(x) : ForwardTransformer(x);
}

std::map<std::string, FloatTensor> TrainableImageTower::Tensors() const {
  std::map<std::string, FloatTensor> all;
  for (const auto& [name, tensor] : tensors_) {
    all.emplace(absl::StrCat(kPrefix, name), ToFloatTensor(tensor.detach()));
  }
  return all;
}

const at::Tensor& TrainableImageTower::At(const std::string& name) const {
  const auto found = tensors_.find(name);
  PROMPTD_CHECK(found != tensors_.end());
  return found->second;
}

at::Tensor TrainableImageTower::Linear(const at::Tensor& x,
                                       const std::string& layer) const {
  return at::linear(x, At(layer + ".weight"), At(layer + ".bias"));
}

at::Tensor TrainableImageTower::Norm(const at::Tensor& x,
                                     const std::string& layer) const {
  return at::layer_norm(x, {x.size(-1)}, At(layer + ".weight"),
                        At(layer + ".bias"), kLayerNormEpsilon);
}

// norm(conv(x)), padded to keep the side when it does not stride.
at::Tensor TrainableImageTower::Conv(const at::Tensor& x,
                                     const std::string& conv,
                                     const std::string& norm,
                                     int64_t stride) const {
  const at::Tensor& kernel = At(conv + ".weight");
  const int64_t padding = kernel.size(2) / 2;
  const at::Tensor y =
      at::conv2d(x, kernel, /*bias=*/{}, {stride, stride}, {padding, padding});
  return at::batch_norm(y, At(norm + ".weight"), At(norm + ".bias"),
                        At(norm + ".running_mean"), At(norm + ".running_var"),
                        /*training=*/false, kUnusedMomentum, kBatchNormEpsilon,
                        /*cudnn_enabled=*/true);
}

at::Tensor TrainableImageTower::Bottleneck(const at::Tensor& x,
                                           const std::string& prefix,
                                           bool pooled) const {
  at::Tensor inner = at::relu(Conv(x, prefix + "conv1", prefix + "bn1", 1));
  inner = at::relu(Conv(inner, prefix + "conv2", prefix + "bn2", 1));
  if (pooled) inner = Halve(inner);
  inner = Conv(inner, prefix + "conv3", prefix + "bn3", 1);
  const std::string downsample = prefix + "downsample.";
  if (!tensors_.contains(downsample + "0.weight"))
    return at::relu(inner.add(x));
  const at::Tensor shortcut =
      Conv(pooled ? Halve(x) : x, downsample + "0", downsample + "1", 1);
  return at::relu(inner.add(shortcut));
}

at::Tensor TrainableImageTower::AttentionPooled(const at::Tensor& x) const {
  const at::Tensor places = x.flatten(2).transpose(1, 2);  // [B, P, D]
  const at::Tensor tokens =                                // [B, P+1, D]
      at::cat({places.mean(1, /*keepdim=*/true), places}, 1)
          .add(At("attnpool.positional_embedding"));
  const at::Tensor pooled =  // [B, 1, D]
      Attend(Linear(tokens.narrow(1, 0, 1), "attnpool.q_proj"),
             Linear(tokens, "attnpool.k_proj"),
             Linear(tokens, "attnpool.v_proj"), config_.resnet_heads());
  return Linear(pooled.squeeze(1), "attnpool.c_proj");
}

at::Tensor TrainableImageTower::ForwardResNet(const at::Tensor& pixels) const {
  at::Tensor x = at::relu(Conv(pixels, "conv1", "bn1", 2));
  x = at::relu(Conv(x, "conv2", "bn2", 1));
  x = Halve(at::relu(Conv(x, "conv3", "bn3", 1)));
  for (size_t stage = 0; stage < config_.resnet_layers.size(); ++stage) {
    for (int block = 0; block < config_.resnet_layers[stage]; ++block) {
      x = Bottleneck(x, absl::StrCat("layer", stage + 1, ".", block, "."),
                     /*pooled=*/stage > 0 && block == 0);
    }
  }
  return AttentionPooled(x);
}

at::Tensor TrainableImageTower::ResidualBlock(const at::Tensor& x,
                                              const std::string& prefix) const {
  const std::vector<at::Tensor> qkv =
      at::linear(Norm(x, prefix + "ln_1"), At(prefix + "attn.in_proj_weight"),
                 At(prefix + "attn.in_proj_bias"))
          .chunk(3, -1);
  const at::Tensor mixed =
      Attend(qkv[0], qkv[1], qkv[2], config_.width / config_.head_width);
  const at::Tensor y = x.add(Linear(mixed, prefix + "attn.out_proj"));
  const at::Tensor hidden =
      Linear(Norm(y, prefix + "ln_2"), prefix + "mlp.c_fc");
  const at::Tensor active =
      quick_gelu_ ? hidden.mul(at::sigmoid(hidden.mul(kQuickGelu)))
                  : at::gelu(hidden);
  return y.add(Linear(active, prefix + "mlp.c_proj"));
}

at::Tensor TrainableImageTower::ForwardTransformer(
    const at::Tensor& pixels) const {
  const int64_t patch = config_.patch_size;
  const at::Tensor places =  // [B, G*G, W]
      at::conv2d(pixels, At("conv1.weight"), /*bias=*/{}, {patch, patch})
          .flatten(2)
          .transpose(1, 2);
  const at::Tensor class_token =
      At("class_embedding").expand({places.size(0), 1, places.size(2)});
  at::Tensor x =
      at::cat({class_token, places}, 1).add(At("positional_embedding"));
  x = Norm(x, "ln_pre");
  for (int layer = 0; layer < config_.vit_layers; ++layer) {
    x = ResidualBlock(x, absl::StrCat("transformer.resblocks.", layer, "."));
  }
  return Norm(x.select(1, 0), "ln_post").mm(At("proj"));
}

}  // namespace promptd::clip
