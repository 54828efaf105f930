#include "datasets/list_problems.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace promptd::datasets {
namespace {

constexpr size_t kMaxListed = 10;
constexpr size_t kMaxQuotedBytes = 80;

}  // namespace

std::string QuotedText(absl::string_view text) {
  return absl::StrCat("\"",
                      absl::Utf8SafeCHexEscape(text.substr(0, kMaxQuotedBytes)),
                      text.size() > kMaxQuotedBytes ? "..." : "", "\"");
}

void ListProblems::Add(std::string where, std::string what) {
  ++count_;
  if (listed_.size() < kMaxListed) {
    listed_.push_back({std::move(where), std::move(what)});
  }
}

absl::Status ListProblems::ToStatus(absl::string_view reason) const {
  if (count_ == 0) return absl::OkStatus();
  std::vector<FieldViolation> violations = listed_;
  if (count_ > kMaxListed) {
    violations.push_back({"list", absl::StrCat("and ", count_ - kMaxListed,
                                               " more problems like these, ",
                                               count_, " in all")});
  }
  return InvalidFields(reason, violations);
}

}  // namespace promptd::datasets
