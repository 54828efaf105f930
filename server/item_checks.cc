#include "server/item_checks.h"

#include "absl/strings/str_cat.h"

namespace promptd::server {

void CheckItemCount(const std::string& field, int count, int most,
                    std::vector<FieldViolation>* violations) {
  if (count == 0) {
    violations->push_back({field, "is required: at least one"});
  } else if (count > most) {
    violations->push_back(
        {field, absl::StrCat("has ", count, " ", field, ", at most ", most,
                             " are taken: send the rest in further calls")});
  }
}

}  // namespace promptd::server
