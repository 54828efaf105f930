// Figures of one or several panels with one legend below: lines over a number,
// or groups of bars; drawn with Cairo, the same for SVG and PNG. Colours are
// Okabe and Ito's, which colour-blind readers can tell apart; every line also
// has a marker of its own. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::experiments {

struct ChartPoint {
  double x = 0;  // of bars: the index of the group
  double y = 0;
  double spread = 0;  // half the length of the error bar; 0: none
};

struct ChartSeries {
  std::string label;
  int style = 0;      // colour and marker; the same number looks the same
  bool star = false;  // points only, as stars: the paper's zero-shot
  bool hatched = false;
  std::vector<ChartPoint> points;
};

struct ChartTick {
  double at = 0;
  std::string label;
};

struct ChartPanel {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool bars = false;             // from 0 on; else lines over a range that fits
  std::vector<ChartTick> ticks;  // of x
  std::vector<ChartSeries> series;
};

struct Figure {
  std::string title;
  std::vector<ChartPanel> panels;
  int columns = 1;           // panels side by side
  double panel_width = 380;  // points, axes and labels included
  double panel_height = 290;
};

struct FigureSize {
  double width = 0;  // points
  double height = 0;
};
FigureSize SizeOf(const Figure& figure);

// Pixels of a PNG a point.
constexpr double kPngScale = 2.0;

// INTERNAL (DRAWING_FAILED) with Cairo's reason.
absl::StatusOr<std::string> FigureSvg(const Figure& figure);
absl::StatusOr<std::string> FigurePng(const Figure& figure);

// Round numbers that divide [low, high] into about `count` steps; at least
// two, the first at most `low` and the last at least `high`.
std::vector<double> NiceTicks(double low, double high, int count);

}  // namespace promptd::experiments
