#include "learners/text_tuning.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "clip/text_tower.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "learners/text_ensemble.h"

namespace promptd::learners {
namespace {

// A float32 tensor like those of the text tower, not set.
at::Tensor EmptyBeside(const clip::Encoder& encoder, at::IntArrayRef shape) {
  return at::empty(shape,
                   encoder.text_tower()->index_options().dtype(at::kFloat));
}

class TextTuning : public Method {
 public:
  TextTuning(TextEnsemble texts, at::Tensor start)
      : texts_(std::move(texts)), start_(std::move(start)) {}

  Side side() const override { return Side::kText; }
  absl::StatusOr<at::Tensor> InitialParameter(
      Random* /*random*/) const override {
    return start_.clone();
  }

  int64_t setup_units() const override { return texts_.units(); }
  absl::Status RunSetupUnit() override { return texts_.RunUnit(); }

  int64_t units() const override { return 1; }
  void Begin(const at::Tensor& parameter) override {
    PROMPTD_CHECK(texts_.done());
    parameter_ = parameter;
  }
  void ForwardUnit(int64_t /*unit*/) override {
    text_features_ = Change(texts_.features(), parameter_);
  }
  const at::Tensor& text_features() const override { return text_features_; }
  void BackwardUnit(int64_t /*unit*/, const at::Tensor& d_text) override {
    gradient_ = Gradient(texts_.features(), d_text);
  }
  const at::Tensor& gradient() const override { return gradient_; }

 protected:
  // Whether a bias [E] serves all classes.
  bool shared() const { return start_.dim() == 1; }

 private:
  // text [C, E] -> [C, E], not normalised.
  virtual at::Tensor Change(const at::Tensor& text,
                            const at::Tensor& parameter) const = 0;
  // d_text [C, E] of what Change gave -> the parameter's.
  virtual at::Tensor Gradient(const at::Tensor& text,
                              const at::Tensor& d_text) const = 0;

  TextEnsemble texts_;
  const at::Tensor start_;
  at::Tensor parameter_, text_features_, gradient_;
};

class TextBias : public TextTuning {
 public:
  using TextTuning::TextTuning;
  absl::string_view parameter_name() const override { return "bias"; }

 private:
  at::Tensor Change(const at::Tensor& text,
                    const at::Tensor& bias) const override {
    return text.add(bias);
  }
  at::Tensor Gradient(const at::Tensor& /*text*/,
                      const at::Tensor& d_text) const override {
    return shared() ? d_text.sum(0) : d_text;
  }
};

class TextTransform : public TextTuning {
 public:
  using TextTuning::TextTuning;
  absl::string_view parameter_name() const override { return "transform"; }

 private:
  at::Tensor Change(const at::Tensor& text,
                    const at::Tensor& transform) const override {
    return text.mm(transform.t());
  }
  at::Tensor Gradient(const at::Tensor& text,
                      const at::Tensor& d_text) const override {
    return d_text.t().mm(text);
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Method>> MakeTextBias(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names) {
  ASSIGN_OR_RETURN(
      TextEnsemble texts,
      TextEnsemble::Create(encoder, class_names, spec.text_templates));
  const int64_t classes = static_cast<int64_t>(class_names.size());
  const int64_t width = encoder->text_tower()->embed_dim();
  const at::Tensor zeros =
      (spec.class_specific ? EmptyBeside(*encoder, {classes, width})
                           : EmptyBeside(*encoder, {width}))
          .zero_();
  return std::make_unique<TextBias>(std::move(texts), zeros);
}

absl::StatusOr<std::unique_ptr<Method>> MakeTextTransform(
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names) {
  ASSIGN_OR_RETURN(
      TextEnsemble texts,
      TextEnsemble::Create(encoder, class_names, spec.text_templates));
  const int64_t width = encoder->text_tower()->embed_dim();
  const at::Tensor identity = EmptyBeside(*encoder, {width, width}).zero_();
  identity.diagonal().fill_(1);
  return std::make_unique<TextTransform>(std::move(texts), identity);
}

}  // namespace promptd::learners
