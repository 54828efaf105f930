#include "learners/text_ensemble.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clip/prompt_batch.h"
#include "clip/text_tower.h"
#include "common/check.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "learners/class_text.h"
#include "learners/cosine_loss.h"

namespace promptd::learners {
namespace {

constexpr int64_t kTextsPerUnit = 32;

int64_t CeilOf(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

absl::Status CheckTemplates(const std::vector<std::string>& templates) {
  std::vector<FieldViolation> bad;
  if (templates.empty()) {
    bad.push_back({"text_templates", "needs one at least"});
  }
  for (size_t i = 0; i < templates.size(); ++i) {
    const size_t hole = templates[i].find("{}");
    if (hole != std::string::npos &&
        templates[i].find("{}", hole + 2) == std::string::npos) {
      continue;
    }
    bad.push_back({absl::StrCat("text_templates[", i, "]"),
                   "must hold \"{}\" once, where the class name goes"});
  }
  return bad.empty() ? absl::OkStatus()
                     : InvalidFields("BAD_TRAINER_SPEC", bad);
}

}  // namespace

absl::StatusOr<TextEnsemble> TextEnsemble::Create(
    std::shared_ptr<const clip::Encoder> encoder,
    std::vector<std::string> class_names, std::vector<std::string> templates) {
  RETURN_IF_ERROR(CheckTemplates(templates));
  if (class_names.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, "BAD_TRAINING_DATA",
                     "there are no classes: name one at least");
  }
  TextEnsemble ensemble;
  const int64_t classes = static_cast<int64_t>(class_names.size());
  const int64_t count = static_cast<int64_t>(templates.size());
  ensemble.templates_per_unit_ = std::min(count, kTextsPerUnit);
  ensemble.classes_per_unit_ = std::max<int64_t>(1, kTextsPerUnit / count);
  ensemble.units_ = CeilOf(classes, ensemble.classes_per_unit_) *
                    CeilOf(count, ensemble.templates_per_unit_);
  ensemble.features_ =
      at::zeros({classes, encoder->text_tower()->embed_dim()},
                encoder->text_tower()->index_options().dtype(at::kFloat));
  ensemble.encoder_ = std::move(encoder);
  ensemble.class_names_ = std::move(class_names);
  ensemble.templates_ = std::move(templates);
  return ensemble;
}

absl::Status TextEnsemble::RunUnit() {
  PROMPTD_CHECK(!done());
  const int64_t parts =
      CeilOf(static_cast<int64_t>(templates_.size()), templates_per_unit_);
  const int64_t first_class = next_unit_ / parts * classes_per_unit_;
  const int64_t first_template = next_unit_ % parts * templates_per_unit_;
  const int64_t classes =
      std::min(classes_per_unit_, features_.size(0) - first_class);
  const int64_t templates =
      std::min(templates_per_unit_,
               static_cast<int64_t>(templates_.size()) - first_template);
  ASSIGN_OR_RETURN(const at::Tensor unit,
                   Encode(first_class, classes, first_template, templates));
  features_.narrow(0, first_class, classes)
      .add_(unit.view({classes, templates, -1}).sum(1));
  ++next_unit_;
  // A sum points where the mean does.
  if (done()) features_ = UnitRows(features_);
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> TextEnsemble::Encode(int64_t first_class,
                                                int64_t classes,
                                                int64_t first_template,
                                                int64_t templates) const {
  std::vector<clip::TokenRow> rows;
  for (int64_t c = first_class; c < first_class + classes; ++c) {
    const std::string& name = class_names_[static_cast<size_t>(c)];
    for (int64_t t = first_template; t < first_template + templates; ++t) {
      const std::string text =
          FillTemplate(templates_[static_cast<size_t>(t)], name);
      auto row = encoder_->tokenizer().EncodeWithMarkers(
          text, encoder_->config().text.context_length);
      if (!row.ok()) {
        return Annotate(row.status(), absl::StrCat("text \"", text, "\""));
      }
      rows.push_back(*std::move(row));
    }
  }
  ASSIGN_OR_RETURN(const at::Tensor features,
                   clip::EncodeTexts(encoder_->text_tower(), rows));
  return UnitRows(features);
}

}  // namespace promptd::learners
