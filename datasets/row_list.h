// Images given one by one with a label: the rows of a CSV or JSONL file, the
// samples of tar shards. Here labels become numbers.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/image_list.h"

namespace promptd::datasets {

struct LabelledRow {
  std::string path;  // in the manifest
  ImageSource source;
  std::string label;  // a class name, or its number
  std::string split;  // empty: `default_split`
  Split default_split = Split::kTrain;
  std::string where;  // "images.csv: line 7"
};

// The list of `rows`. With `class_names` (in label order) a label is a name of
// these, as CLIP folds names, or a number that counts them from 0; without,
// labels are names, numbered in byte order, and rows that only have numbers
// are refused: CLIP reads names. Errors as FinishList.
absl::StatusOr<ImageList> ListOfRows(
    const std::vector<LabelledRow>& rows,
    const std::vector<std::string>& class_names, ListProblems problems);

// A CSV file with a header line: file_name, label and perhaps split; other
// columns are ignored. Images are below the file's folder.
absl::StatusOr<ImageList> ReadCsvList(
    const std::string& file, const std::vector<std::string>& class_names);

// A JSONL file: an object a line with file_name, label (text or a whole
// number) and perhaps split; other members are ignored.
absl::StatusOr<ImageList> ReadJsonlList(
    const std::string& file, const std::vector<std::string>& class_names);

}  // namespace promptd::datasets
