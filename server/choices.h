// The API's enums and the project's own choices: the same enumerators in the
// same order, the API's with "unspecified" in front.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/training_options.h"

namespace promptd::server {

template <typename ApiEnum, typename Choice>
ApiEnum ToApi(Choice choice) {
  return static_cast<ApiEnum>(static_cast<int>(choice) + 1);
}

// Leaves `*choice` when nothing was asked for; a number that this server does
// not know is a violation of "spec.<field>".
template <typename ApiEnum, typename Choice>
void ResolveChoice(ApiEnum asked, const char* field, Choice* choice,
                   std::vector<FieldViolation>* violations) {
  const int number = static_cast<int>(asked);
  const auto& names = ChoiceNames<Choice>::kNames;
  if (number == 0) return;
  if (number < 0 || number > static_cast<int>(names.size())) {
    violations->push_back(
        {absl::StrCat("spec.", field),
         absl::StrCat("is ", number, ", which this server does not know: use ",
                      absl::StrJoin(names, ", "))});
    return;
  }
  *choice = static_cast<Choice>(number - 1);
}

}  // namespace promptd::server
