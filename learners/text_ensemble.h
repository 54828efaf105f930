// Text features of classes that need no learning: the mean over templates.
//
//   ASSIGN_OR_RETURN(TextEnsemble texts,
//                    TextEnsemble::Create(encoder, class_names, templates));
//   while (!texts.done()) RETURN_IF_ERROR(texts.RunUnit());
//   texts.features();  // [C, E]
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clip/encoder.h"

namespace promptd::learners {

// For class c: unit(mean over the templates t of unit(text feature of t with
// ClassText(name c) in place of its "{}")), as open_clip's
// build_zero_shot_classifier. A text longer than the encoder reads is refused.
// The texts go through the tower some at a time, so that a thousand classes
// with eighty templates stay bounded units. The same units give the same bytes.
// On the device thread. Functions without a Status throw c10::Error.
class TextEnsemble {
 public:
  // INVALID_ARGUMENT (BAD_TRAINER_SPEC) when there is no template or one does
  // not hold "{}" exactly once, (BAD_TRAINING_DATA) when there is no class.
  static absl::StatusOr<TextEnsemble> Create(
      std::shared_ptr<const clip::Encoder> encoder,
      std::vector<std::string> class_names, std::vector<std::string> templates);

  int64_t units() const { return units_; }
  int64_t next_unit() const { return next_unit_; }
  bool done() const { return next_unit_ == units_; }
  // INVALID_ARGUMENT: TEXT_TOO_LONG, BAD_UTF8, RESERVED_TEXT, naming the text.
  absl::Status RunUnit();
  // [C, E], float32, unit rows, on the encoder's device. Once done.
  const at::Tensor& features() const { return features_; }

 private:
  TextEnsemble() = default;
  // Unit features [classes * templates, E] of classes x templates, class by
  // class.
  absl::StatusOr<at::Tensor> Encode(int64_t first_class, int64_t classes,
                                    int64_t first_template,
                                    int64_t templates) const;

  std::shared_ptr<const clip::Encoder> encoder_;
  std::vector<std::string> class_names_;
  std::vector<std::string> templates_;
  int64_t classes_per_unit_ = 1;    // more than one: with all templates
  int64_t templates_per_unit_ = 1;  // fewer than all: of one class
  int64_t units_ = 0;
  int64_t next_unit_ = 0;
  at::Tensor features_;  // [C, E]; sums until done
};

}  // namespace promptd::learners
