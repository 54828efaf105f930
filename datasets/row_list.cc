#include "datasets/row_list.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/csv.h"
#include "datasets/list_text.h"
#include "datasets/name_rules.h"
#include "nlohmann/json.hpp"

namespace promptd::datasets {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

bool IsNumber(absl::string_view text) {
  int64_t number = 0;
  return absl::SimpleAtoi(text, &number);
}

// From a row's label to its number. Thread-compatible.
class LabelNumbers {
 public:
  LabelNumbers(const std::vector<LabelledRow>& rows,
               const std::vector<std::string>& class_names)
      : names_(class_names), given_(!class_names.empty()) {
    if (!given_) TakeNames(rows);
    for (size_t i = 0; i < names_.size(); ++i) {
      number_of_.emplace(FoldClassName(names_[i]), static_cast<int>(i));
    }
  }

  const std::vector<std::string>& names() const { return names_; }

  std::optional<int> NumberOf(const LabelledRow& row, ListProblems* problems) {
    const std::string where = row.where + ": label";
    if (!IsPlainText(row.label) || FoldClassName(row.label).empty()) {
      problems->Add(where, absl::StrCat(QuotedText(row.label),
                                        " is no class name: write UTF-8 text "
                                        "without control characters"));
      return std::nullopt;
    }
    const auto found = number_of_.find(FoldClassName(row.label));
    if (found != number_of_.end()) return found->second;
    int64_t number = 0;
    if (!absl::SimpleAtoi(row.label, &number)) {
      problems->Add(where, absl::StrCat(QuotedText(row.label),
                                        " is not one of the class names"));
      return std::nullopt;
    }
    if (number < 0 || number >= static_cast<int64_t>(names_.size())) {
      problems->Add(where, absl::StrCat("label ", number,
                                        " is out of range: the classes are 0 "
                                        "to ",
                                        names_.size() - 1));
      return std::nullopt;
    }
    return static_cast<int>(number);
  }

 private:
  // In byte order; of spellings that CLIP folds into one, the first is kept.
  void TakeNames(const std::vector<LabelledRow>& rows) {
    std::set<std::string> spellings;
    for (const LabelledRow& row : rows) {
      if (IsPlainText(row.label)) spellings.insert(ReadableName(row.label));
    }
    std::set<std::string> folded;
    for (const std::string& name : spellings) {
      const std::string fold = FoldClassName(name);
      if (!fold.empty() && folded.insert(fold).second) names_.push_back(name);
    }
  }

  std::vector<std::string> names_;
  const bool given_;
  std::map<std::string, int> number_of_;
};

// The folder of a list file, canonical.
absl::StatusOr<std::string> FolderOfList(const std::string& file) {
  std::error_code error;
  const fs::path real = fs::canonical(file, error);
  if (error) {
    return MakeError(absl::StatusCode::kNotFound, "LIST_NOT_FOUND",
                     absl::StrCat("there is no ", file, ": check the path"));
  }
  return real.parent_path().string();
}

// Columns by name.
struct Columns {
  size_t file_name = 0;
  size_t label = 0;
  std::optional<size_t> split;
};

absl::StatusOr<Columns> ReadHeader(const CsvRow& header,
                                   const std::string& name) {
  std::map<std::string, size_t> column_of;
  ListProblems problems;
  const std::string where = absl::StrCat(name, ": line ", header.line);
  for (size_t i = 0; i < header.fields.size(); ++i) {
    const std::string column(absl::StripAsciiWhitespace(header.fields[i]));
    if (!column_of.emplace(column, i).second) {
      problems.Add(where, absl::StrCat("the column ", QuotedText(column),
                                       " is there twice"));
    }
  }
  for (const char* needed : {"file_name", "label"}) {
    if (column_of.count(needed) > 0) continue;
    problems.Add(where, absl::StrCat("no column \"", needed,
                                     "\": the first line names the columns, "
                                     "file_name,label or file_name,label,"
                                     "split"));
  }
  RETURN_IF_ERROR(problems.ToStatus("INVALID_IMAGE_LIST"));
  Columns columns{column_of["file_name"], column_of["label"], std::nullopt};
  if (column_of.count("split") > 0) columns.split = column_of["split"];
  return columns;
}

// A member of a JSONL object as text; false with a problem added.
bool TakeMember(const Json& object, const char* member, bool needed,
                const std::string& where, std::string* text,
                ListProblems* problems) {
  const auto found = object.find(member);
  const std::string field = absl::StrCat(where, ": ", member);
  if (found == object.end()) {
    if (needed) problems->Add(field, "is missing");
    return !needed;
  }
  if (found->is_string()) {
    *text = found->get<std::string>();
  } else if (found->is_number_integer() && member == std::string("label")) {
    *text = found->dump();
  } else {
    problems->Add(field, "is not text");
    return false;
  }
  return true;
}

void ReadJsonLine(const TextLine& line, const std::string& name,
                  const std::string& folder, std::vector<LabelledRow>* rows,
                  ListProblems* problems) {
  LabelledRow row;
  row.where = absl::StrCat(name, ": line ", line.number);
  const Json object = Json::parse(line.text, nullptr, false);
  if (object.is_discarded() || !object.is_object()) {
    problems->Add(row.where, "is not a JSON object");
    return;
  }
  // All three are looked at, so that a line's problems come together.
  const bool path =
      TakeMember(object, "file_name", true, row.where, &row.path, problems);
  const bool label =
      TakeMember(object, "label", true, row.where, &row.label, problems);
  const bool split =
      TakeMember(object, "split", false, row.where, &row.split, problems);
  if (!path || !label || !split) return;
  row.source.file = absl::StrCat(folder, "/", row.path);
  rows->push_back(std::move(row));
}

absl::StatusOr<ImageList> Below(const std::string& folder,
                                absl::StatusOr<ImageList> list) {
  if (list.ok()) list->roots = {folder};
  return list;
}

}  // namespace

absl::StatusOr<ImageList> ListOfRows(
    const std::vector<LabelledRow>& rows,
    const std::vector<std::string>& class_names, ListProblems problems) {
  LabelNumbers numbers(rows, class_names);
  if (class_names.empty() && !rows.empty() &&
      std::all_of(rows.begin(), rows.end(),
                  [](const LabelledRow& row) { return IsNumber(row.label); })) {
    problems.Add(rows[0].where + ": label",
                 "all labels are numbers, and CLIP reads names: give the class "
                 "names with --classes FILE, one a line");
  }
  ImageList list;
  list.class_names = numbers.names();
  for (const LabelledRow& row : rows) {
    std::optional<Split> split = row.default_split;
    if (!row.split.empty()) split = SplitOfWord(row.split);
    if (!split) {
      problems.Add(
          row.where + ": split",
          absl::StrCat(QuotedText(row.split), " is not train, val or test"));
    }
    const std::optional<int> label = numbers.NumberOf(row, &problems);
    if (!split || !label) continue;
    list.images.push_back({row.path, row.source, *label, *split, row.where});
  }
  return FinishList(std::move(list), std::move(problems));
}

absl::StatusOr<ImageList> ReadCsvList(
    const std::string& file, const std::vector<std::string>& class_names) {
  ASSIGN_OR_RETURN(const std::string folder, FolderOfList(file));
  ASSIGN_OR_RETURN(const std::string text, ReadListText(file));
  const std::string name = FileName(file);
  ASSIGN_OR_RETURN(const std::vector<CsvRow> rows, ParseCsv(text, name));
  ASSIGN_OR_RETURN(const Columns columns,
                   ReadHeader(rows.empty() ? CsvRow{1, {}} : rows[0], name));
  ListProblems problems;
  std::vector<LabelledRow> labelled;
  for (size_t i = 1; i < rows.size(); ++i) {
    const std::vector<std::string>& fields = rows[i].fields;
    LabelledRow row;
    row.where = absl::StrCat(name, ": line ", rows[i].line);
    if (fields.size() != rows[0].fields.size()) {
      problems.Add(row.where,
                   absl::StrCat("has ", fields.size(), " fields; ",
                                "the first line has ", rows[0].fields.size()));
      continue;
    }
    row.path = fields[columns.file_name];
    row.label = fields[columns.label];
    if (columns.split) row.split = fields[*columns.split];
    row.source.file = absl::StrCat(folder, "/", row.path);
    labelled.push_back(std::move(row));
  }
  return Below(folder, ListOfRows(labelled, class_names, std::move(problems)));
}

absl::StatusOr<ImageList> ReadJsonlList(
    const std::string& file, const std::vector<std::string>& class_names) {
  ASSIGN_OR_RETURN(const std::string folder, FolderOfList(file));
  ASSIGN_OR_RETURN(const std::vector<TextLine> lines, ReadListLines(file));
  const std::string name = FileName(file);
  ListProblems problems;
  std::vector<LabelledRow> rows;
  for (const TextLine& line : lines) {
    ReadJsonLine(line, name, folder, &rows, &problems);
  }
  return Below(folder, ListOfRows(rows, class_names, std::move(problems)));
}

}  // namespace promptd::datasets
