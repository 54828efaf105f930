#include "experiments/plots.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "experiments/layout.h"
#include "experiments/methods.h"

namespace promptd::experiments {
namespace {

constexpr char kAccuracy[] = "Accuracy (%)";
constexpr int kMaxColumns = 4;

ChartPoint PointOf(double x, const Summary& cell) {
  return {x, 100 * cell.mean, cell.seeds > 1 ? 100 * cell.deviation : 0};
}

bool HasPoints(const ChartPanel& panel) {
  return std::any_of(
      panel.series.begin(), panel.series.end(),
      [](const ChartSeries& series) { return !series.points.empty(); });
}

class Plotter {
 public:
  explicit Plotter(const Study& study)
      : study_(study),
        plan_(study.plan()),
        tasks_(AverageFirst(TaskColumns(plan_))),
        domains_(DomainColumns(plan_)) {}

  std::vector<NamedFigure> Plot() {
    if (plan_.experiment == "few-shot") {
      FewShot();
    } else if (plan_.experiment == "context-length") {
      ContextLength();
    } else if (plan_.experiment == "backbones") {
      Encoders();
    } else {
      Bars(tasks_, "", "Dataset");
      Bars(domains_, "-domains", "Dataset");
    }
    return std::move(figures_);
  }

 private:
  static std::vector<Column> AverageFirst(std::vector<Column> columns) {
    if (!columns.empty() && columns.back().average) {
      std::rotate(columns.begin(), columns.end() - 1, columns.end());
    }
    return columns;
  }

  std::string OnEncoder(const std::string& title,
                        const std::string& encoder) const {
    return absl::StrCat(title, " (", encoder, ")");
  }
  std::string FileFor(const std::string& ending,
                      const std::string& encoder) const {
    return absl::StrCat(
        plan_.experiment, ending,
        plan_.encoders.size() > 1 ? absl::StrCat("-", encoder) : "");
  }
  // The methods that most experiments have look the same in all of them.
  int StyleOf(const std::string& method) const {
    static const std::map<std::string, int> kFixed = {
        {"coop-m16-end", 0}, {"linear-probe", 1}, {"zero-shot", 3}};
    static constexpr int kOthers[] = {2, 4, 5, 6, 9, 11};
    size_t next = 0;
    for (const PlanMethod& one : plan_.methods) {
      const auto fixed = kFixed.find(one.key);
      const int style = fixed != kFixed.end()
                            ? fixed->second
                            : kOthers[next++ % std::size(kOthers)];
      if (one.key == method) return style;
    }
    return 0;
  }

  // Panels side by side in as even a grid as there is.
  void Add(const std::string& name, const std::string& title,
           std::vector<ChartPanel> panels, double panel_width,
           bool detail = false) {
    panels.erase(std::remove_if(
                     panels.begin(), panels.end(),
                     [](const ChartPanel& panel) { return !HasPoints(panel); }),
                 panels.end());
    if (panels.empty()) return;
    Figure figure;
    figure.title = title;
    figure.panel_width = panel_width;
    const int count = static_cast<int>(panels.size());
    const int rows = (count + kMaxColumns - 1) / kMaxColumns;
    figure.columns = (count + rows - 1) / rows;
    figure.panels = std::move(panels);
    figures_.push_back({name, std::move(figure), detail});
  }

  void FewShot() {
    for (const std::string& encoder : plan_.encoders) {
      std::vector<ChartPanel> panels;
      for (const Column& column : tasks_) {
        panels.push_back(ShotPanel(column, encoder));
      }
      const std::string title = OnEncoder("Few-shot classification", encoder);
      Add(FileFor("", encoder), title, panels, 330);
      if (panels.size() < 2) continue;
      for (const ChartPanel& panel : panels) {
        const std::string ending =
            panel.title == "Average" ? "average" : panel.title;
        Add(FileFor(absl::StrCat("-", ending), encoder), title, {panel}, 460,
            /*detail=*/true);
      }
    }
  }

  ChartPanel ShotPanel(const Column& column, const std::string& encoder) const {
    ChartPanel panel;
    panel.title = column.label;
    panel.x_label = "Training images per class";
    panel.y_label = kAccuracy;
    panel.ticks.push_back({0, "0"});
    for (const int shots : plan_.shots) {
      panel.ticks.push_back({static_cast<double>(shots), absl::StrCat(shots)});
    }
    for (const PlanMethod& method : plan_.methods) {
      ChartSeries series;
      series.label = method.label;
      series.style = StyleOf(method.key);
      series.star = !Learns(plan_, method.key);
      if (series.star) {
        const auto cell = Cell(study_, column, encoder, method.key,
                               std::nullopt, Measure::kAccuracy);
        if (cell) series.points.push_back(PointOf(0, *cell));
      } else {
        for (const int shots : plan_.shots) {
          const auto cell = Cell(study_, column, encoder, method.key, shots,
                                 Measure::kAccuracy);
          if (cell) series.points.push_back(PointOf(shots, *cell));
        }
      }
      panel.series.push_back(series);
    }
    return panel;
  }

  void ContextLength() {
    for (const std::string& encoder : plan_.encoders) {
      std::vector<ChartPanel> panels;
      for (const std::vector<Column>* columns : {&tasks_, &domains_}) {
        for (const Column& column : *columns) {
          // Single tasks and targets stand in the tables.
          const bool source =
              column.datasets.front().first == column.datasets.front().second &&
              columns == &domains_;
          if (column.average || source || columns->size() <= 2) {
            panels.push_back(LengthPanel(column, encoder));
          }
        }
      }
      Add(FileFor("", encoder), OnEncoder("Context length", encoder), panels,
          330);
    }
  }

  ChartPanel LengthPanel(const Column& column,
                         const std::string& encoder) const {
    ChartPanel panel;
    panel.title = column.label;
    panel.x_label = "Context vectors M";
    panel.y_label = kAccuracy;
    int style = 0;
    for (const char* position : {"end", "middle"}) {
      ChartSeries series;
      series.label = absl::StrCat("Class name at the ", position);
      if (std::string(position) == "middle") {
        series.label = "Class name in the middle";
      }
      series.style = style++;
      for (const int tokens : {4, 8, 16}) {
        if (series.style == 0) {
          panel.ticks.push_back(
              {static_cast<double>(tokens), absl::StrCat(tokens)});
        }
        const auto cell =
            Cell(study_, column, encoder, Coop(tokens, position).key,
                 std::nullopt, Measure::kAccuracy);
        if (cell) series.points.push_back(PointOf(tokens, *cell));
      }
      panel.series.push_back(series);
    }
    return panel;
  }

  // One group a column, one bar a method.
  void Bars(const std::vector<Column>& columns, const std::string& ending,
            const std::string& x_label) {
    if (columns.empty()) return;
    for (const std::string& encoder : plan_.encoders) {
      ChartPanel panel;
      panel.title = absl::StrCat(plan_.shots.back(), " shots");
      panel.x_label = x_label;
      panel.y_label = kAccuracy;
      panel.bars = true;
      for (size_t i = 0; i < columns.size(); ++i) {
        panel.ticks.push_back({static_cast<double>(i), columns[i].label});
      }
      for (const PlanMethod& method : plan_.methods) {
        ChartSeries series = SeriesOf(method);
        for (size_t i = 0; i < columns.size(); ++i) {
          const auto cell = Cell(study_, columns[i], encoder, method.key,
                                 std::nullopt, Measure::kAccuracy);
          if (cell) {
            series.points.push_back(PointOf(static_cast<double>(i), *cell));
          }
        }
        panel.series.push_back(series);
      }
      const std::string end =
          plan_.experiment == "domain-generalization" ? "" : ending;
      Add(FileFor(end, encoder), OnEncoder(TitleOf(), encoder), {panel},
          std::max(460.0, 110.0 * static_cast<double>(columns.size())));
    }
  }

  // One group an encoder.
  void Encoders() {
    std::vector<ChartPanel> panels;
    for (const Column& column : tasks_) {
      ChartPanel panel;
      panel.title = column.label;
      panel.x_label = "Encoder";
      panel.y_label = kAccuracy;
      panel.bars = true;
      for (size_t i = 0; i < plan_.encoders.size(); ++i) {
        panel.ticks.push_back({static_cast<double>(i), plan_.encoders[i]});
      }
      for (const PlanMethod& method : plan_.methods) {
        ChartSeries series = SeriesOf(method);
        for (size_t i = 0; i < plan_.encoders.size(); ++i) {
          const auto cell = Cell(study_, column, plan_.encoders[i], method.key,
                                 std::nullopt, Measure::kAccuracy);
          if (cell) {
            series.points.push_back(PointOf(static_cast<double>(i), *cell));
          }
        }
        panel.series.push_back(series);
      }
      panels.push_back(panel);
    }
    Add(plan_.experiment, TitleOf(), panels,
        std::max(360.0, 90.0 * static_cast<double>(plan_.encoders.size())));
  }

  ChartSeries SeriesOf(const PlanMethod& method) const {
    ChartSeries series;
    series.label = method.label;
    series.style = StyleOf(method.key);
    series.hatched = !Learns(plan_, method.key);
    return series;
  }

  std::string TitleOf() const {
    if (plan_.experiment == "domain-generalization") {
      return "Domain generalization";
    }
    if (plan_.experiment == "backbones") return "Encoders";
    if (plan_.experiment == "ensembling") return "Prompt ensembling and CoOp";
    if (plan_.experiment == "tuning-methods") return "Ways to adapt";
    return "Initialization of the context";
  }

  const Study& study_;
  const Plan& plan_;
  const std::vector<Column> tasks_;
  const std::vector<Column> domains_;
  std::vector<NamedFigure> figures_;
};

}  // namespace

std::vector<NamedFigure> FiguresOf(const Study& study) {
  return Plotter(study).Plot();
}

}  // namespace promptd::experiments
