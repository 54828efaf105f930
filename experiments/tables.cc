#include "experiments/tables.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "experiments/layout.h"

namespace promptd::experiments {
namespace {

using Rows = std::vector<std::vector<std::string>>;

size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(),
                    [](unsigned char byte) { return (byte & 0xc0) != 0x80; }));
}

bool IsGain(Measure measure) {
  return measure == Measure::kGain || measure == Measure::kSeenGain ||
         measure == Measure::kUnseenGain;
}

std::vector<std::string> Labels(const std::string& first,
                                const std::vector<Column>& columns) {
  std::vector<std::string> labels = {first};
  for (const Column& column : columns) labels.push_back(column.label);
  return labels;
}

class Writer {
 public:
  explicit Writer(const Study& study)
      : study_(study),
        plan_(study.plan()),
        tasks_(TaskColumns(plan_)),
        domains_(DomainColumns(plan_)) {}

  std::string Write(const std::vector<std::string>& figures) {
    Head();
    for (const std::string& encoder : plan_.encoders) {
      if (plan_.encoders.size() > 1) {
        absl::StrAppend(&out_, "## Encoder ", encoder, "\n\n");
      }
      if (plan_.experiment == "few-shot") {
        ByShots(encoder);
      } else {
        ByMethod(encoder, "", tasks_);
        ByMethod(encoder, "on the source and its targets, ", domains_);
        Classes(encoder);
      }
    }
    if (plan_.encoders.size() > 1) AcrossEncoders();
    for (const std::string& figure : figures) {
      absl::StrAppend(&out_, "![", figure, "](", figure, ")\n\n");
    }
    Failures();
    return std::move(out_);
  }

 private:
  void Section(const std::string& title) {
    absl::StrAppend(&out_, "### ", title, "\n\n");
  }
  void Put(const std::vector<std::string>& headers, const Rows& rows) {
    absl::StrAppend(&out_, MarkdownTable(headers, rows), "\n");
  }
  std::string Text(const Column& column, const std::string& encoder,
                   const std::string& method, std::optional<int> shots,
                   Measure measure) const {
    auto cell = Cell(study_, column, encoder, method, shots, measure);
    // The baseline has no seed.
    if (cell && measure == Measure::kBaseline) cell->seeds = cell->planned = 1;
    return CellText(cell, IsGain(measure));
  }

  void Head() {
    const size_t failed = study_.Failed().size();
    const size_t missing = study_.Missing().size();
    absl::StrAppend(
        &out_, "# ", plan_.experiment, "\n\n", plan_.members.size() - missing,
        " of ", plan_.members.size(), " members are done",
        failed > 0 ? absl::StrCat(", ", failed, " of them failed") : "",
        ". Accuracies in percent: mean over seeds ± population "
        "standard deviation; a gain is over the best of the "
        "server's zero-shot templates on the same images; `*` "
        "marks cells with fewer seeds than planned, `–` cells "
        "without a result.\n\n");
  }

  // One table a method, datasets by shots; then all methods at most shots.
  void ByShots(const std::string& encoder) {
    std::vector<std::string> fixed, learning;
    for (const PlanMethod& method : plan_.methods) {
      (Learns(plan_, method.key) ? learning : fixed).push_back(method.key);
    }
    for (const std::string& key : learning) {
      ShotTable(encoder, key, fixed, Measure::kAccuracy);
    }
    for (const std::string& key : learning) {
      ShotTable(encoder, key, {}, Measure::kGain);
    }
    MostShots(encoder);
    Classes(encoder);
  }

  void ShotTable(const std::string& encoder, const std::string& key,
                 const std::vector<std::string>& beside, Measure measure) {
    std::vector<std::string> headers = {"Dataset"};
    for (const std::string& other : beside) {
      headers.push_back(plan_.FindMethod(other)->label);
    }
    for (const int shots : plan_.shots) {
      headers.push_back(absl::StrCat(shots, shots == 1 ? " shot" : " shots"));
    }
    Rows rows;
    for (const Column& column : ColumnsOf(key)) {
      std::vector<std::string> row = {column.label};
      for (const std::string& other : beside) {
        row.push_back(Text(column, encoder, other, std::nullopt, measure));
      }
      for (const int shots : plan_.shots) {
        row.push_back(Text(column, encoder, key, shots, measure));
      }
      rows.push_back(row);
    }
    if (rows.empty()) return;
    Section(absl::StrCat(plan_.FindMethod(key)->label,
                         IsGain(measure) ? ": gain over zero-shot by shots"
                                         : ": accuracy by shots"));
    Put(headers, rows);
  }

  // The task columns for a method; one that ran on some tasks only has an
  // average of these.
  std::vector<Column> ColumnsOf(const std::string& method) const {
    std::vector<Column> columns;
    Column average{"Average", {}, true};
    for (const Column& column : tasks_) {
      if (column.average) continue;
      for (const PlanMethod& one :
           MethodsOn(plan_, column.datasets.front().first)) {
        if (one.key != method) continue;
        columns.push_back(column);
        average.datasets.push_back(column.datasets.front());
      }
    }
    if (columns.size() > 1) columns.push_back(average);
    return columns;
  }

  // The paper's summary: datasets down, methods across.
  void MostShots(const std::string& encoder) {
    const int shots = plan_.shots.back();
    std::vector<std::string> headers = {"Dataset", "Best template"};
    std::vector<PlanMethod> methods;
    for (const PlanMethod& method : plan_.methods) {
      headers.push_back(method.label);
      methods.push_back(method);
    }
    const PlanMethod& last = LastOnAll();
    headers.push_back(absl::StrCat("Gain of ", last.label));
    Rows rows;
    for (const Column& column : tasks_) {
      std::vector<std::string> row = {
          column.label,
          Text(column, encoder, last.key, shots, Measure::kBaseline)};
      for (const PlanMethod& method : methods) {
        row.push_back(Text(column, encoder, method.key, ShotsOf(method.key),
                           Measure::kAccuracy));
      }
      row.push_back(Text(column, encoder, last.key, shots, Measure::kGain));
      rows.push_back(row);
    }
    if (rows.empty()) return;
    Section(absl::StrCat("All methods at ", shots,
                         shots == 1 ? " shot" : " shots"));
    Put(headers, rows);
  }

  // The last method of the plan that ran on every task: CoOp.
  const PlanMethod& LastOnAll() const {
    for (auto method = plan_.methods.rbegin(); method != plan_.methods.rend();
         ++method) {
      const size_t own = ColumnsOf(method->key).size();
      if (own == tasks_.size()) return *method;
    }
    return plan_.methods.back();
  }

  std::optional<int> ShotsOf(const std::string& method) const {
    if (!Learns(plan_, method)) return std::nullopt;
    return plan_.shots.back();
  }

  void ByMethod(const std::string& encoder, const std::string& where,
                const std::vector<Column>& columns) {
    if (columns.empty()) return;
    for (const Measure measure : {Measure::kAccuracy, Measure::kGain}) {
      Rows rows;
      if (measure == Measure::kAccuracy)
        rows.push_back(Baseline(encoder, columns));
      for (const PlanMethod& method : plan_.methods) {
        std::vector<std::string> row = {method.label};
        for (const Column& column : columns) {
          row.push_back(
              Text(column, encoder, method.key, std::nullopt, measure));
        }
        rows.push_back(row);
      }
      Section(absl::StrCat(
          measure == Measure::kGain ? "Gain over zero-shot, " : "Accuracy, ",
          where, plan_.shots.back(),
          plan_.shots.back() == 1 ? " shot" : " shots"));
      Put(Labels("Method", columns), rows);
    }
  }

  // The baseline beside the methods: of whichever has results.
  std::vector<std::string> Baseline(const std::string& encoder,
                                    const std::vector<Column>& columns) const {
    std::vector<std::string> row = {"Best template"};
    for (const Column& column : columns) {
      std::string text = CellText(std::nullopt, false);
      for (const PlanMethod& method : plan_.methods) {
        text =
            Text(column, encoder, method.key, std::nullopt, Measure::kBaseline);
        if (text != CellText(std::nullopt, false)) break;
      }
      row.push_back(text);
    }
    return row;
  }

  // Seen and unseen classes, where the benchmark tells them apart.
  void Classes(const std::string& encoder) {
    std::vector<std::string> datasets;
    bool told_apart = false;
    for (const PlanDataset& dataset : plan_.datasets) {
      if (dataset.target) continue;
      datasets.push_back(dataset.name);
      told_apart = told_apart || !dataset.unseen_classes.empty();
    }
    if (!told_apart) return;
    Rows rows;
    for (const std::string& dataset : datasets) {
      ClassRows(encoder, dataset, {dataset}, &rows);
    }
    if (datasets.size() > 1) ClassRows(encoder, "Average", datasets, &rows);
    Section(absl::StrCat(
        "Classes that the encoder's training had and had not, ",
        plan_.shots.back(), plan_.shots.back() == 1 ? " shot" : " shots"));
    Put({"Dataset", "Method", "Seen", "Gain", "Unseen", "Gain"}, rows);
  }

  // An average is over the datasets that have such classes at all.
  void ClassRows(const std::string& encoder, const std::string& label,
                 const std::vector<std::string>& datasets, Rows* rows) const {
    const std::string nothing = CellText(std::nullopt, false);
    for (const PlanMethod& method : plan_.methods) {
      std::vector<std::string> row = {label, method.label};
      bool any = false;
      for (const Measure measure :
           {Measure::kSeenAccuracy, Measure::kSeenGain,
            Measure::kUnseenAccuracy, Measure::kUnseenGain}) {
        Column column{label, {}, true};
        for (const std::string& dataset : datasets) {
          if (HasSuchClasses(encoder, dataset, measure)) {
            column.datasets.emplace_back(dataset, dataset);
          }
        }
        row.push_back(
            Text(column, encoder, method.key, ShotsOf(method.key), measure));
        any = any || row.back() != nothing;
      }
      if (any) rows->push_back(row);
    }
  }

  bool HasSuchClasses(const std::string& encoder, const std::string& dataset,
                      Measure measure) const {
    const Column column{dataset, {{dataset, dataset}}};
    return std::any_of(plan_.methods.begin(), plan_.methods.end(),
                       [&](const PlanMethod& method) {
                         return Cell(study_, column, encoder, method.key,
                                     std::nullopt, measure)
                             .has_value();
                       });
  }

  void AcrossEncoders() {
    const bool domains = tasks_.empty();
    const std::vector<Column>& columns = domains ? domains_ : tasks_;
    if (columns.empty()) return;
    // The last is the average where there are several.
    const Column* shown = &columns.back();
    if (domains) {
      for (const Column& column : columns) {
        if (column.label == "Target average") shown = &column;
      }
    }
    std::vector<std::string> headers = {"Method"};
    headers.insert(headers.end(), plan_.encoders.begin(), plan_.encoders.end());
    Rows rows;
    for (const PlanMethod& method : plan_.methods) {
      std::vector<std::string> row = {method.label};
      for (const std::string& encoder : plan_.encoders) {
        row.push_back(Text(*shown, encoder, method.key, ShotsOf(method.key),
                           Measure::kAccuracy));
      }
      rows.push_back(row);
    }
    absl::StrAppend(&out_, "## All encoders\n\n");
    Section(absl::StrCat(shown->label, ": accuracy by encoder"));
    Put(headers, rows);
  }

  void Failures() {
    std::vector<std::pair<std::string, std::vector<std::string>>> by_reason;
    for (const Member* member : study_.Failed()) {
      const std::string why = absl::StrReplaceAll(
          study_.results().at(member->key).Failure(), {{"\n", " "}});
      auto same =
          std::find_if(by_reason.begin(), by_reason.end(),
                       [&](const auto& entry) { return entry.first == why; });
      if (same == by_reason.end()) {
        same = by_reason.insert(same, {why, {}});
      }
      same->second.push_back(absl::StrCat("`", member->key, "`"));
    }
    if (!by_reason.empty()) Section("Failed");
    for (const auto& [why, keys] : by_reason) {
      absl::StrAppend(&out_, "- ", why, "\n  (", absl::StrJoin(keys, ", "),
                      ")\n");
    }
    if (!by_reason.empty()) absl::StrAppend(&out_, "\n");
    const auto missing = study_.Missing();
    if (missing.empty()) return;
    Section("Not there yet");
    absl::StrAppend(&out_, missing.size(),
                    missing.size() == 1 ? " member" : " members",
                    "; the next is `", missing.front()->key, "`.\n\n");
  }

  const Study& study_;
  const Plan& plan_;
  const std::vector<Column> tasks_;
  const std::vector<Column> domains_;
  std::string out_;
};

std::string Line(const std::vector<std::string>& cells,
                 const std::vector<size_t>& widths) {
  std::string out = "|";
  for (size_t i = 0; i < widths.size(); ++i) {
    const std::string& cell = i < cells.size() ? cells[i] : "";
    const std::string pad(widths[i] - std::min(widths[i], Width(cell)), ' ');
    absl::StrAppend(&out, " ", i == 0 ? cell : pad, i == 0 ? pad : cell, " |");
  }
  return absl::StrCat(out, "\n");
}

}  // namespace

std::string MarkdownTable(const std::vector<std::string>& headers,
                          const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  widths.reserve(headers.size());
  for (const std::string& header : headers) {
    widths.push_back(std::max<size_t>(3, Width(header)));
  }
  for (const auto& row : rows) {
    for (size_t i = 0; i < std::min(row.size(), widths.size()); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string out = Line(headers, widths);
  out += "|";
  for (size_t i = 0; i < widths.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? ":" : "-", std::string(widths[i], '-'),
                    i == 0 ? "-|" : ":|");
  }
  out += "\n";
  for (const auto& row : rows) out += Line(row, widths);
  return out;
}

std::string CellText(const std::optional<Summary>& cell, bool gain) {
  if (!cell) return "–";
  std::string out = gain ? absl::StrFormat("%+.1f", 100 * cell->mean)
                         : absl::StrFormat("%.1f", 100 * cell->mean);
  if (cell->seeds > 1) {
    absl::StrAppend(&out, absl::StrFormat(" ± %.1f", 100 * cell->deviation));
  }
  if (cell->seeds < cell->planned) out += "*";
  return out;
}

std::string TablesMarkdown(const Study& study,
                           const std::vector<std::string>& figures) {
  return Writer(study).Write(figures);
}

}  // namespace promptd::experiments
