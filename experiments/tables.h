// An experiment's tables as Markdown, laid out like the paper's. Pure;
// thread-safe.
#pragma once

#include <string>
#include <vector>

#include "experiments/study.h"

namespace promptd::experiments {

// Pads the cells; the first column is flush left, the others right.
std::string MarkdownTable(const std::vector<std::string>& headers,
                          const std::vector<std::vector<std::string>>& rows);

// "71.3 ± 0.5" of a measure in percent; one value only "71.3"; a gain with its
// sign; "*" where seeds are missing; "–" for nothing.
std::string CellText(const std::optional<Summary>& cell, bool gain);

// Title, how far it is, tables, what failed. `figures` are files beside it.
std::string TablesMarkdown(const Study& study,
                           const std::vector<std::string>& figures);

}  // namespace promptd::experiments
