#include "learners/coop.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/prompt_batch.h"
#include "clip/text_tower.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "learners/class_text.h"

namespace promptd::learners {
namespace {

constexpr double kInitialDeviation = 0.02;

class CoOp : public Method {
 public:
  // `shape` is the parameter's, its last dimension the width; `init` [M, W]
  // holds the words' embeddings, undefined for a random start.
  CoOp(clip::PromptBatch batch, std::vector<int64_t> shape, at::Tensor init)
      : batch_(std::move(batch)),
        shape_(std::move(shape)),
        init_(std::move(init)) {}

  Side side() const override { return Side::kText; }

  absl::StatusOr<at::Tensor> InitialParameter(Random* random) const override {
    if (init_.defined()) return init_.expand(shape_).clone();
    const at::Tensor context = at::empty(shape_, at::kFloat);
    float* values = context.mutable_data_ptr<float>();
    for (int64_t i = 0; i < context.numel(); ++i) {
      values[i] = static_cast<float>(kInitialDeviation * random->Normal());
    }
    return context.to(batch_.tower().token_embedding().device());
  }

  absl::string_view parameter_name() const override { return "ctx"; }

  int64_t units() const override { return batch_.chunks(); }
  void Begin(const at::Tensor& parameter) override {
    batch_.Begin(parameter.reshape({-1, shape_.back()}), &state_);
  }
  void ForwardUnit(int64_t unit) override {
    batch_.ForwardChunk(unit, &state_);
  }
  const at::Tensor& text_features() const override { return state_.features; }
  void BackwardUnit(int64_t unit, const at::Tensor& d_text) override {
    batch_.BackwardChunk(unit, d_text, &state_);
    if (unit == 0) gradient_ = state_.context_gradient.view(shape_);
  }
  const at::Tensor& gradient() const override { return gradient_; }

 private:
  const clip::PromptBatch batch_;
  const std::vector<int64_t> shape_;
  const at::Tensor init_;
  clip::PromptState state_;
  at::Tensor gradient_;
};

absl::Status CheckContextTokens(const clip::Encoder& encoder, int tokens) {
  const int most = encoder.config().text.context_length - 3;
  if (tokens >= 1 && tokens <= most) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_CONTEXT_TOKENS",
                   absl::StrCat("a context of ", tokens,
                                " tokens: it must have 1 to ", most));
}

// Embeddings [M, W] of the words' tokens.
absl::StatusOr<at::Tensor> WordEmbeddings(const clip::Encoder& encoder,
                                          const MethodSpec& spec) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                   encoder.tokenizer().Encode(ClassText(spec.context_init)));
  if (ids.size() != static_cast<size_t>(spec.context_tokens)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, "BAD_CONTEXT_TOKENS",
        absl::StrCat("the words \"", spec.context_init, "\" have ", ids.size(),
                     " tokens but the context has ", spec.context_tokens,
                     ": leave the number out"));
  }
  return encoder.text_tower()->token_embedding().index_select(
      0, at::tensor(std::vector<int64_t>(ids.begin(), ids.end()),
                    encoder.text_tower()->index_options()));
}

// The text of one class, whose context begins at `first_row`.
absl::StatusOr<clip::PromptText> ClassPrompt(const clip::Encoder& encoder,
                                             const MethodSpec& spec,
                                             const std::string& name,
                                             int64_t first_row) {
  // Placeholders that the context replaces; "X" is one token.
  std::string placeholders;
  for (int i = 0; i < spec.context_tokens; ++i) placeholders += "X ";
  const clip::Tokenizer& tokenizer = encoder.tokenizer();
  ASSIGN_OR_RETURN(const std::vector<int32_t> name_tokens,
                   tokenizer.Encode(ClassText(name)));
  ASSIGN_OR_RETURN(const clip::TokenRow row,
                   tokenizer.EncodeWithMarkers(
                       absl::StrCat(placeholders, ClassText(name), "."),
                       encoder.config().text.context_length));
  return clip::ArrangePrompt(
      row, static_cast<int64_t>(name_tokens.size()),
      {spec.context_tokens, spec.class_position, first_row});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Method>> MakeCoOp(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names) {
  RETURN_IF_ERROR(CheckContextTokens(*encoder, spec.context_tokens));
  at::Tensor init;
  if (!spec.context_init.empty()) {
    ASSIGN_OR_RETURN(init, WordEmbeddings(*encoder, spec));
  }
  std::vector<clip::PromptText> texts;
  int64_t next_row = 0;
  for (const std::string& name : class_names) {
    auto text = ClassPrompt(*encoder, spec, name, next_row);
    if (!text.ok()) {
      return Annotate(text.status(),
                      absl::StrCat("class \"", name, "\" with ",
                                   spec.context_tokens, " context tokens"));
    }
    texts.push_back(*std::move(text));
    if (spec.class_specific) next_row += spec.context_tokens;
  }
  std::vector<int64_t> shape = {spec.context_tokens,
                                encoder->text_tower()->width()};
  if (spec.class_specific) {
    shape.insert(shape.begin(), static_cast<int64_t>(class_names.size()));
  }
  const int64_t rows = spec.class_specific ? next_row : spec.context_tokens;
  ASSIGN_OR_RETURN(
      clip::PromptBatch batch,
      clip::PromptBatch::Create(encoder->text_tower(), texts, rows, {}));
  return std::make_unique<CoOp>(std::move(batch), std::move(shape),
                                std::move(init));
}

}  // namespace promptd::learners
