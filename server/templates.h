// Prompt templates: the bundled zero-shot baselines and the rule for "{}".
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/error.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/limits.h"

namespace promptd::server {

// The seven generic templates that a job without its own reports as zero-shot
// baselines; models/tasks/templates.txt holds the same ones.
const std::vector<std::string>& BundledTemplates();

// The template of a zero-shot call without one.
inline constexpr char kDefaultTemplate[] = "a photo of a {}.";

// What is wrong with a template: it must hold "{}" exactly once and at most
// `max_bytes` of UTF-8. Empty when it is fine.
std::string TemplateProblem(absl::string_view text, int max_bytes);

// The templates that a job asks for, or the bundled ones; what is wrong is
// added to `violations` under "spec.templates".
std::vector<std::string> ResolveTemplates(
    const google::protobuf::RepeatedPtrField<std::string>& asked,
    const Limits& limits, std::vector<FieldViolation>* violations);

// The same of those that a method starts from, under "spec.text_templates";
// without any kDefaultTemplate.
std::vector<std::string> ResolveTextTemplates(
    const google::protobuf::RepeatedPtrField<std::string>& asked,
    const Limits& limits, std::vector<FieldViolation>* violations);

// The template with the label in the place of "{}"; as CLIP's class names, a
// label's underscores are spaces.
std::string FillTemplate(absl::string_view text, absl::string_view label);

}  // namespace promptd::server
