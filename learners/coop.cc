#include "learners/coop.h"

#include <ATen/ops/empty.h>

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
  CoOp(clip::PromptBatch batch, std::vector<int32_t> init_ids)
      : batch_(std::move(batch)), init_ids_(std::move(init_ids)) {}

  Side side() const override { return Side::kText; }

  absl::StatusOr<at::Tensor> InitialParameter(Random* random) const override {
    const at::Tensor& embedding = batch_.tower().token_embedding();
    const at::Tensor context = at::empty(
        {batch_.context_tokens(), batch_.tower().width()}, at::kFloat);
    for (size_t i = 0; i < init_ids_.size(); ++i) {
      context.select(0, static_cast<int64_t>(i))
          .copy_(embedding.select(0, init_ids_[i]));
    }
    if (init_ids_.empty()) {
      float* values = context.mutable_data_ptr<float>();
      for (int64_t i = 0; i < context.numel(); ++i) {
        values[i] = static_cast<float>(kInitialDeviation * random->Normal());
      }
    }
    return context.to(embedding.device());
  }

  int64_t units() const override { return batch_.chunks(); }
  void Begin(const at::Tensor& parameter) override {
    batch_.Begin(parameter, &state_);
  }
  void ForwardUnit(int64_t unit) override {
    batch_.ForwardChunk(unit, &state_);
  }
  const at::Tensor& text_features() const override { return state_.features; }
  void BackwardUnit(int64_t unit, const at::Tensor& d_text) override {
    batch_.BackwardChunk(unit, d_text, &state_);
  }
  const at::Tensor& gradient() const override {
    return state_.context_gradient;
  }

 private:
  const clip::PromptBatch batch_;
  const std::vector<int32_t> init_ids_;  // empty: random
  clip::PromptState state_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Method>> MakeCoOp(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names) {
  const int most = encoder->config().text.context_length - 3;
  if (spec.context_tokens < 1 || spec.context_tokens > most) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_CONTEXT_TOKENS",
                     absl::StrCat("a context of ", spec.context_tokens,
                                  " tokens: it must have 1 to ", most));
  }
  std::vector<int32_t> init_ids;
  if (!spec.context_init.empty()) {
    ASSIGN_OR_RETURN(init_ids,
                     encoder->tokenizer().Encode(ClassText(spec.context_init)));
    if (init_ids.size() != static_cast<size_t>(spec.context_tokens)) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, "BAD_CONTEXT_TOKENS",
          absl::StrCat("the words \"", spec.context_init, "\" have ",
                       init_ids.size(), " tokens but the context has ",
                       spec.context_tokens, ": leave the number out"));
    }
  }
  // Placeholders that the context replaces; "X" is one token.
  std::string placeholders;
  for (int i = 0; i < spec.context_tokens; ++i) placeholders += "X ";
  std::vector<clip::TokenRow> rows;
  for (const std::string& name : class_names) {
    auto row = encoder->tokenizer().EncodeWithMarkers(
        absl::StrCat(placeholders, ClassText(name), "."),
        encoder->config().text.context_length);
    if (!row.ok()) {
      return Annotate(row.status(),
                      absl::StrCat("class \"", name, "\" behind ",
                                   spec.context_tokens, " context tokens"));
    }
    rows.push_back(*std::move(row));
  }
  ASSIGN_OR_RETURN(clip::PromptBatch batch,
                   clip::PromptBatch::Create(encoder->text_tower(), rows,
                                             spec.context_tokens, {}));
  return std::make_unique<CoOp>(std::move(batch), std::move(init_ids));
}

}  // namespace promptd::learners
