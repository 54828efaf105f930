#include "learners/method.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "learners/coop.h"
#include "learners/text_tuning.h"

namespace promptd::learners {
namespace {

using Factory = absl::StatusOr<std::unique_ptr<Method>> (*)(
    const std::shared_ptr<const clip::Encoder>&, const MethodSpec&,
    const std::vector<std::string>&);

// Every method that learns by steps.
const std::map<std::string, Factory>& Methods() {
  static const auto* const methods = new std::map<std::string, Factory>{
      {"coop", &MakeCoOp},
      {"text_bias", &MakeTextBias},
      {"text_transform", &MakeTextTransform},
  };
  return *methods;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Method>> MakeMethod(
    const std::string& name,
    const std::shared_ptr<const clip::Encoder>& encoder, const MethodSpec& spec,
    const std::vector<std::string>& class_names) {
  const auto found = Methods().find(name);
  if (found == Methods().end()) {
    std::vector<std::string> names;
    for (const auto& [known, factory] : Methods()) names.push_back(known);
    return MakeError(
        absl::StatusCode::kInvalidArgument, "UNKNOWN_METHOD",
        absl::StrCat("no method \"", name, "\" learns by steps: use ",
                     absl::StrJoin(names, " or ")));
  }
  return found->second(encoder, spec, class_names);
}

}  // namespace promptd::learners
