#include "client/table.h"

#include <algorithm>
#include <utility>

#include "client/text.h"

namespace promptd::client {
namespace {

void AppendLine(const std::vector<std::string>& cells,
                const std::vector<int>& widths, std::string* out) {
  for (size_t i = 0; i < cells.size(); ++i) {
    out->append(cells[i]);
    out->append(static_cast<size_t>(widths[i] + 2 - DisplayWidth(cells[i])),
                ' ');
  }
  while (!out->empty() && out->back() == ' ') out->pop_back();
  out->push_back('\n');
}

}  // namespace

Table::Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(headers_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::ToString() const {
  std::vector<int> widths;
  widths.reserve(headers_.size());
  for (const std::string& header : headers_) {
    widths.push_back(DisplayWidth(header));
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string out;
  AppendLine(headers_, widths, &out);
  for (const auto& row : rows_) AppendLine(row, widths, &out);
  return out;
}

std::string KeyValues(
    const std::vector<std::pair<std::string, std::string>>& pairs) {
  int width = 0;
  for (const auto& pair : pairs) {
    width = std::max(width, DisplayWidth(pair.first));
  }
  std::string out;
  for (const auto& pair : pairs) {
    AppendLine({pair.first, Printable(pair.second)},
               {width, DisplayWidth(pair.second)}, &out);
  }
  return out;
}

}  // namespace promptd::client
