#include "tests/clip/random_text_tower.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "gtest/gtest.h"
#include "weights/safetensors.h"

namespace promptd::clip {
namespace {

constexpr int kVocabulary = 600;
constexpr int32_t kDot = 269;
constexpr int32_t kPlaceholder = 343;

// The machine may be shared, and spinning OpenMP teams would fight; LibTorch
// seeds itself at random.
class MakeTestsRepeatable : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override {
    at::set_num_threads(1);
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    generator.set_current_seed(7);
  }
};

[[maybe_unused]] const bool kRepeatable = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(
      new MakeTestsRepeatable);
  return true;
}();

class Filler {
 public:
  explicit Filler(uint64_t seed) : engine_(seed) {}

  FloatTensor Normal(std::vector<int64_t> shape, float mean, double deviation) {
    FloatTensor tensor;
    int64_t size = 1;
    for (const int64_t dimension : shape) size *= dimension;
    tensor.shape = std::move(shape);
    tensor.values.resize(size);
    std::normal_distribution<float> normal(mean, static_cast<float>(deviation));
    for (float& value : tensor.values) value = normal(engine_);
    return tensor;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace

weights::EncoderConfig TinyTextConfig(int width, int heads, int layers,
                                      bool quick_gelu) {
  weights::EncoderConfig config;
  config.embed_dim = width / 2;
  config.quick_gelu = quick_gelu;
  config.text.context_length = 77;
  config.text.vocab_size = kVocabulary;
  config.text.width = width;
  config.text.heads = heads;
  config.text.layers = layers;
  return config;
}

std::map<std::string, FloatTensor> RandomTextTensors(
    const weights::EncoderConfig& config, uint64_t seed) {
  Filler filler(seed);
  const int64_t w = config.text.width;
  // open_clip's scales for weights; norms and biases around theirs.
  const double fan = 1.0 / std::sqrt(static_cast<double>(w));
  const double deep = fan / std::sqrt(2.0 * config.text.layers);
  std::map<std::string, FloatTensor> tensors;
  tensors["token_embedding.weight"] =
      filler.Normal({config.text.vocab_size, w}, 0, 0.3);
  tensors["positional_embedding"] =
      filler.Normal({config.text.context_length, w}, 0, 0.1);
  for (int layer = 0; layer < config.text.layers; ++layer) {
    const std::string p = absl::StrCat("transformer.resblocks.", layer, ".");
    for (const char* norm : {"ln_1", "ln_2"}) {
      tensors[p + norm + ".weight"] = filler.Normal({w}, 1, 0.2);
      tensors[p + norm + ".bias"] = filler.Normal({w}, 0, 0.1);
    }
    tensors[p + "attn.in_proj_weight"] = filler.Normal({3 * w, w}, 0, fan);
    tensors[p + "attn.in_proj_bias"] = filler.Normal({3 * w}, 0, 0.1);
    tensors[p + "attn.out_proj.weight"] = filler.Normal({w, w}, 0, deep);
    tensors[p + "attn.out_proj.bias"] = filler.Normal({w}, 0, 0.1);
    tensors[p + "mlp.c_fc.weight"] =
        filler.Normal({4 * w, w}, 0, fan / std::sqrt(2.0));
    tensors[p + "mlp.c_fc.bias"] = filler.Normal({4 * w}, 0, 0.1);
    tensors[p + "mlp.c_proj.weight"] = filler.Normal({w, 4 * w}, 0, deep);
    tensors[p + "mlp.c_proj.bias"] = filler.Normal({w}, 0, 0.1);
  }
  tensors["ln_final.weight"] = filler.Normal({w}, 1, 0.2);
  tensors["ln_final.bias"] = filler.Normal({w}, 0, 0.1);
  tensors["text_projection"] = filler.Normal({w, config.embed_dim}, 0, fan);
  return tensors;
}

TextWeights RandomTextWeights(const weights::EncoderConfig& config,
                              uint64_t seed) {
  const auto bytes = weights::WriteSafetensors(RandomTextTensors(config, seed));
  PROMPTD_CHECK(bytes.ok());
  const auto file = weights::Safetensors::FromBytes(*bytes, "random");
  PROMPTD_CHECK(file.ok());
  auto loaded = TextWeights::Load(config, *file);
  PROMPTD_CHECK(loaded.ok());
  return *std::move(loaded);
}

TokenRow RandomPromptRow(const weights::EncoderConfig& config,
                         int context_tokens, int name_tokens, bool merged_dot,
                         uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::uniform_int_distribution<int32_t> word(0, 250);
  TokenRow row = {config.text.vocab_size - 2};
  row.insert(row.end(), context_tokens, kPlaceholder);
  for (int i = 0; i < name_tokens; ++i) row.push_back(word(engine));
  if (merged_dot) {
    row.back() = kDot + 1;
  } else {
    row.push_back(kDot);
  }
  row.push_back(config.text.vocab_size - 1);
  return row;
}

std::vector<PromptText> UnifiedPrompts(const std::vector<TokenRow>& rows,
                                       int64_t context_tokens) {
  std::vector<PromptText> texts;
  for (const TokenRow& row : rows) {
    auto text = ArrangePrompt(row, 0, {context_tokens});
    PROMPTD_CHECK(text.ok());
    texts.push_back(*std::move(text));
  }
  return texts;
}

}  // namespace promptd::clip
