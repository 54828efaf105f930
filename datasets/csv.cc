#include "datasets/csv.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "datasets/list_problems.h"

namespace promptd::datasets {
namespace {

// Walks over the text once.
class CsvParser {
 public:
  CsvParser(absl::string_view text, absl::string_view name)
      : rest_(text), name_(name) {}

  absl::StatusOr<std::vector<CsvRow>> Parse() {
    std::vector<CsvRow> rows;
    while (!rest_.empty()) {
      CsvRow row;
      row.line = line_;
      RETURN_IF_ERROR(ParseRow(&row));
      const bool blank = row.fields.size() == 1 && row.fields[0].empty();
      if (!blank) rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  absl::Status ParseRow(CsvRow* row) {
    while (true) {
      std::string field;
      if (!rest_.empty() && rest_[0] == '"') {
        RETURN_IF_ERROR(ParseQuoted(&field));
      } else {
        RETURN_IF_ERROR(ParsePlain(&field));
      }
      row->fields.push_back(std::move(field));
      if (rest_.empty()) return absl::OkStatus();
      const char next = rest_[0];
      if (next == '\r' && rest_.size() > 1) rest_.remove_prefix(1);
      rest_.remove_prefix(1);
      if (next == ',') continue;
      ++line_;
      return absl::OkStatus();
    }
  }

  absl::Status ParsePlain(std::string* field) {
    const size_t end = std::min(rest_.find_first_of(",\r\n\""), rest_.size());
    *field = std::string(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return AtFieldEnd(
        "a quotation mark inside a field: put the field in "
        "quotation marks and double those inside");
  }

  absl::Status ParseQuoted(std::string* field) {
    const int begin = line_;
    rest_.remove_prefix(1);
    while (true) {
      const size_t quote = rest_.find('"');
      if (quote == absl::string_view::npos) {
        return Problem(begin, "a quotation mark is opened and never closed");
      }
      const absl::string_view part = rest_.substr(0, quote);
      line_ += static_cast<int>(std::count(part.begin(), part.end(), '\n'));
      absl::StrAppend(field, part);
      rest_.remove_prefix(quote + 1);
      if (rest_.empty() || rest_[0] != '"') break;
      field->push_back('"');
      rest_.remove_prefix(1);
    }
    return AtFieldEnd("text behind a closing quotation mark");
  }

  // A comma, a line's end or the end must follow.
  absl::Status AtFieldEnd(absl::string_view otherwise) const {
    if (rest_.empty() || rest_[0] == ',' || rest_[0] == '\n' ||
        (rest_[0] == '\r' && (rest_.size() == 1 || rest_[1] == '\n'))) {
      return absl::OkStatus();
    }
    return Problem(line_, rest_[0] == '\r'
                              ? "a carriage return in the middle of a line"
                              : otherwise);
  }

  absl::Status Problem(int line, absl::string_view what) const {
    ListProblems problems;
    problems.Add(absl::StrCat(name_, ": line ", line), std::string(what));
    return problems.ToStatus("INVALID_IMAGE_LIST");
  }

  absl::string_view rest_;
  absl::string_view name_;
  int line_ = 1;
};

}  // namespace

absl::StatusOr<std::vector<CsvRow>> ParseCsv(absl::string_view text,
                                             absl::string_view name) {
  return CsvParser(text, name).Parse();
}

}  // namespace promptd::datasets
