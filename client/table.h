// A plain table: upper-case headers, columns padded to their widest cell, two
// spaces between them, no rules and no trailing spaces. Cells are made
// printable. Thread-compatible.
#pragma once

#include <string>
#include <vector>

namespace promptd::client {

class Table {
 public:
  explicit Table(std::vector<std::string> headers);

  // As many cells as headers; missing ones are empty, further ones dropped.
  void Add(std::vector<std::string> cells);

  // Every line ends in "\n"; the headers alone when there are no rows.
  std::string ToString() const;

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<std::string>> rows_;
};

// Lines "key   value" with the values aligned; used by the `show` verbs.
std::string KeyValues(
    const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace promptd::client
