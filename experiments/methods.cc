#include "experiments/methods.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/method_traits.h"
#include "experiments/template_text.h"

namespace promptd::experiments {
namespace {

Method Named(const std::string& key, const std::string& label,
             const std::string& method) {
  Method out;
  out.key = key;
  out.label = label;
  out.spec.set_method(method);
  return out;
}

Method OfTaskTemplate(const std::string& key, const std::string& label,
                      const std::string& method) {
  Method out = Named(key, label, method);
  out.own_template = true;
  return out;
}

void AddTemplates(const std::vector<std::string>& texts,
                  v1::TrainingSpec* spec) {
  for (const std::string& text : texts) spec->add_text_templates(text);
}

}  // namespace

Method ZeroShot() {
  return OfTaskTemplate("zero-shot", "Zero-shot CLIP", "zero_shot");
}

Method SevenTemplates() {
  Method out = OfTaskTemplate("zero-shot-7", "Ensemble of 7", "zero_shot");
  AddTemplates(SelectedTemplates(), &out.spec);
  return out;
}

Method EightyTemplates() {
  Method out = Named("zero-shot-80", "Ensemble of 80", "zero_shot");
  AddTemplates(AllTemplates(), &out.spec);
  return out;
}

Method LinearProbe() {
  return Named("linear-probe", "Linear probe", "linear_probe");
}

Method ClassPrior() {
  return OfTaskTemplate("class-prior", "Class prior", "class_prior");
}

Method TextBias() {
  return OfTaskTemplate("text-bias", "Text bias", "text_bias");
}

Method TextTransform() {
  return OfTaskTemplate("text-transform", "Text transform", "text_transform");
}

Method ImageEncoder() {
  return OfTaskTemplate("image-encoder", "Image encoder", "image_encoder");
}

Method Coop(int context_tokens, const std::string& position,
            bool class_specific) {
  Method out =
      Named(absl::StrCat("coop-m", context_tokens, "-", position,
                         class_specific ? "-csc" : ""),
            absl::StrCat("CoOp (M=", context_tokens,
                         position == "end" ? "" : absl::StrCat(", ", position),
                         class_specific ? ", CSC" : "", ")"),
            "coop");
  out.spec.set_context_tokens(context_tokens);
  if (position == "middle") {
    out.spec.set_class_position(v1::CLASS_POSITION_MIDDLE);
  }
  out.spec.set_class_specific(class_specific);
  return out;
}

Method CoopFromWords(const std::string& words) {
  std::string key = words;
  std::replace(key.begin(), key.end(), ' ', '-');
  Method out = Named(absl::StrCat("coop-words-", key),
                     absl::StrCat("CoOp from \"", words, "\""), "coop");
  out.spec.set_context_init(words);
  return out;
}

bool UsesShots(const Method& method) {
  const MethodTraits* traits = promptd::FindMethod(method.spec.method());
  return traits != nullptr && traits->shots;
}

bool LearnsBySteps(const Method& method) {
  const MethodTraits* traits = promptd::FindMethod(method.spec.method());
  return traits != nullptr && traits->steps;
}

v1::TrainingSpec SpecFor(const Method& method, const BenchmarkDataset& task) {
  v1::TrainingSpec spec = method.spec;
  const auto& texts = spec.text_templates();
  if (method.own_template && std::find(texts.begin(), texts.end(),
                                       task.template_text) == texts.end()) {
    spec.add_text_templates(task.template_text);
  }
  return spec;
}

}  // namespace promptd::experiments
