#include "experiments/chart.h"

#include <cairo-svg.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/error.h"
#include "experiments/canvas.h"

namespace promptd::experiments {
namespace {

constexpr double kMargin = 14;
constexpr double kTitle = 34;  // room of the figure's title
constexpr double kLegendRow = 22;
constexpr double kLeft = 52, kRight = 14, kTop = 26, kBottom = 44;
constexpr double kSlantedBottom = 92;
constexpr double kSmall = 10, kNormal = 11.5, kLarge = 15;
constexpr double kGroupShare = 0.8;  // of a group's room that bars take
constexpr double kSlant = 35;
constexpr Rgb kGrid = {0.88, 0.88, 0.88}, kAxis = {0.35, 0.35, 0.35};
constexpr Rgb kError = {0.2, 0.2, 0.2};

struct Range {
  double low = 0;
  double high = 1;
};

struct LegendEntry {
  const ChartSeries* series;
  bool bars;
};

// Each label that has a point once, in the order of first appearance.
std::vector<LegendEntry> LegendOf(const Figure& figure) {
  std::vector<LegendEntry> entries;
  std::set<std::string> seen;
  for (const ChartPanel& panel : figure.panels) {
    for (const ChartSeries& series : panel.series) {
      if (!series.points.empty() && seen.insert(series.label).second) {
        entries.push_back({&series, panel.bars});
      }
    }
  }
  return entries;
}

// An estimate from the number of letters, so that the size needs no surface.
double LegendWidth(const LegendEntry& entry) {
  return 40 + 6.6 * static_cast<double>(entry.series->label.size());
}

std::vector<std::vector<LegendEntry>> LegendRows(const Figure& figure,
                                                 double width) {
  std::vector<std::vector<LegendEntry>> rows;
  double used = 0;
  for (const LegendEntry& entry : LegendOf(figure)) {
    if (rows.empty() || used + LegendWidth(entry) > width) {
      rows.emplace_back();
      used = 0;
    }
    rows.back().push_back(entry);
    used += LegendWidth(entry);
  }
  return rows;
}

double InnerWidth(const Figure& figure) {
  return figure.panel_width * figure.columns;
}

// The y ticks of a panel; bars stand on 0.
std::vector<double> TicksOfY(const ChartPanel& panel) {
  double low = 1e300, high = -1e300;
  for (const ChartSeries& series : panel.series) {
    for (const ChartPoint& point : series.points) {
      low = std::min(low, point.y - point.spread);
      high = std::max(high, point.y + point.spread);
    }
  }
  if (low > high) return NiceTicks(0, 1, 5);
  if (panel.bars) return NiceTicks(std::min(0.0, low), high, 5);
  const double pad = std::max(0.06 * (high - low), 1e-6);
  return NiceTicks(low - pad, high + pad, 5);
}

// One panel in its place on the page.
class PanelPainter {
 public:
  PanelPainter(Canvas& canvas, const ChartPanel& panel, double x, double y,
               const Figure& figure)
      : canvas_(canvas), panel_(panel), slanted_(Slanted(figure)) {
    const double bottom = slanted_ ? kSlantedBottom : kBottom;
    left_ = x + kLeft;
    right_ = x + figure.panel_width - kRight;
    top_ = y + kTop;
    bottom_ = y + figure.panel_height - bottom;
    ticks_ = TicksOfY(panel);
    vertical_ = {ticks_.front(), ticks_.back()};
    horizontal_ = HorizontalRange();
  }

  void Paint() {
    Axes();
    if (panel_.bars) {
      Bars();
    } else {
      for (const ChartSeries& series : panel_.series) Lines(series);
      for (const ChartSeries& series : panel_.series) Points(series);
    }
    canvas_.Line(left_, bottom_, right_, bottom_, kAxis, 1);
  }

 private:
  bool Slanted(const Figure& figure) const {
    double room = figure.panel_width - kLeft - kRight;
    if (!panel_.ticks.empty()) {
      room /= static_cast<double>(panel_.ticks.size());
    }
    return panel_.bars &&
           std::any_of(panel_.ticks.begin(), panel_.ticks.end(),
                       [&](const ChartTick& tick) {
                         return canvas_.TextWidth(tick.label, kSmall) >
                                room - 4;
                       });
  }

  Range HorizontalRange() const {
    if (panel_.ticks.empty()) return {0, 1};
    Range range{panel_.ticks.front().at, panel_.ticks.front().at};
    for (const ChartTick& tick : panel_.ticks) {
      range.low = std::min(range.low, tick.at);
      range.high = std::max(range.high, tick.at);
    }
    if (panel_.bars) return {range.low - 0.5, range.high + 0.5};
    const double pad = std::max(0.04 * (range.high - range.low), 0.5);
    return {range.low - pad, range.high + pad};
  }

  double X(double value) const {
    return left_ + (value - horizontal_.low) /
                       (horizontal_.high - horizontal_.low) * (right_ - left_);
  }
  double Y(double value) const {
    return bottom_ - (value - vertical_.low) /
                         (vertical_.high - vertical_.low) * (bottom_ - top_);
  }

  void Axes() {
    canvas_.Text(panel_.title, (left_ + right_) / 2, top_ - 9, kNormal,
                 Align::kCenter, /*bold=*/true);
    const double step = ticks_[1] - ticks_[0];
    for (const double tick : ticks_) {
      canvas_.Line(left_, Y(tick), right_, Y(tick), kGrid, 0.8);
      const std::string label = step >= 1 ? absl::StrFormat("%.0f", tick)
                                          : absl::StrFormat("%.1f", tick);
      canvas_.Text(label, left_ - 6, Y(tick) + 3.5, kSmall, Align::kRight);
    }
    canvas_.Line(left_, top_, left_, bottom_, kAxis, 1);
    for (const ChartTick& tick : panel_.ticks) {
      if (!panel_.bars) {
        canvas_.Line(X(tick.at), bottom_, X(tick.at), bottom_ + 4, kAxis, 1);
      }
      if (slanted_) {
        canvas_.SlantedText(tick.label, X(tick.at) + 4, bottom_ + 14, kSmall,
                            kSlant);
      } else {
        canvas_.Text(tick.label, X(tick.at), bottom_ + 15, kSmall,
                     Align::kCenter);
      }
    }
    const double below = slanted_ ? kSlantedBottom : kBottom;
    canvas_.Text(panel_.x_label, (left_ + right_) / 2, bottom_ + below - 10,
                 kNormal, Align::kCenter);
    canvas_.VerticalText(panel_.y_label, left_ - 36, (top_ + bottom_) / 2,
                         kNormal);
  }

  void Lines(const ChartSeries& series) {
    if (series.star) return;
    for (size_t i = 1; i < series.points.size(); ++i) {
      const ChartPoint& from = series.points[i - 1];
      const ChartPoint& to = series.points[i];
      canvas_.Line(X(from.x), Y(from.y), X(to.x), Y(to.y),
                   StyleColor(series.style), 1.8);
    }
  }

  void Points(const ChartSeries& series) {
    for (const ChartPoint& point : series.points) {
      if (point.spread > 0) {
        canvas_.ErrorBar(X(point.x), Y(point.y - point.spread),
                         Y(point.y + point.spread), 3,
                         StyleColor(series.style));
      }
      if (series.star) {
        canvas_.Star(X(point.x), Y(point.y), 7, StyleColor(series.style));
      } else {
        canvas_.Marker(series.style, X(point.x), Y(point.y));
      }
    }
  }

  void Bars() {
    const double room = (X(1) - X(0)) * kGroupShare;
    const double width = room / static_cast<double>(panel_.series.size());
    for (size_t s = 0; s < panel_.series.size(); ++s) {
      const ChartSeries& series = panel_.series[s];
      for (const ChartPoint& point : series.points) {
        const double x = X(point.x) - room / 2 + width * static_cast<double>(s);
        const double zero = Y(0), y = Y(point.y);
        const double top = std::min(zero, y), height = std::abs(zero - y);
        canvas_.Fill(x + 0.5, top, width - 1, height, StyleColor(series.style));
        if (series.hatched) canvas_.Hatch(x + 0.5, top, width - 1, height);
        if (point.spread > 0) {
          canvas_.ErrorBar(x + width / 2, Y(point.y - point.spread),
                           Y(point.y + point.spread), std::min(3.0, width / 4),
                           kError);
        }
        if (width >= 20) {
          canvas_.Text(absl::StrFormat("%.0f", point.y), x + width / 2,
                       Y(point.y + point.spread) - 3, 8, Align::kCenter);
        }
      }
    }
  }

  Canvas& canvas_;
  const ChartPanel& panel_;
  const bool slanted_;
  double left_, right_, top_, bottom_;
  std::vector<double> ticks_;
  Range vertical_, horizontal_;
};

void PaintEntry(Canvas& canvas, const LegendEntry& entry, double x, double y) {
  const Rgb color = StyleColor(entry.series->style);
  if (entry.bars) {
    canvas.Fill(x, y - 9, 18, 10, color);
    if (entry.series->hatched) canvas.Hatch(x, y - 9, 18, 10);
  } else if (entry.series->star) {
    canvas.Star(x + 9, y - 4, 7, color);
  } else {
    canvas.Line(x, y - 4, x + 18, y - 4, color, 1.8);
    canvas.Marker(entry.series->style, x + 9, y - 4);
  }
  canvas.Text(entry.series->label, x + 24, y, kNormal, Align::kLeft);
}

void Paint(const Figure& figure, cairo_t* cairo) {
  Canvas canvas(cairo);
  const FigureSize size = SizeOf(figure);
  canvas.Fill(0, 0, size.width, size.height, {1, 1, 1});
  canvas.Text(figure.title, size.width / 2, 24, kLarge, Align::kCenter,
              /*bold=*/true);
  for (size_t i = 0; i < figure.panels.size(); ++i) {
    const auto columns = static_cast<size_t>(figure.columns);
    PanelPainter(
        canvas, figure.panels[i],
        kMargin + figure.panel_width * static_cast<double>(i % columns),
        kTitle + figure.panel_height * static_cast<double>(i / columns), figure)
        .Paint();
  }
  const auto rows = LegendRows(figure, InnerWidth(figure));
  double y =
      size.height - kMargin + 2 -
      kLegendRow * static_cast<double>(rows.size() - (rows.empty() ? 0 : 1));
  for (const auto& row : rows) {
    double width = 0;
    for (const LegendEntry& entry : row) width += LegendWidth(entry);
    double x = (size.width - width) / 2;
    for (const LegendEntry& entry : row) {
      PaintEntry(canvas, entry, x, y);
      x += LegendWidth(entry);
    }
    y += kLegendRow;
  }
}

cairo_status_t Append(void* out, const unsigned char* bytes,
                      unsigned int count) {
  static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(bytes),
                                         count);
  return CAIRO_STATUS_SUCCESS;
}

absl::Status Check(cairo_status_t status) {
  if (status == CAIRO_STATUS_SUCCESS) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInternal, "DRAWING_FAILED",
                   absl::StrCat("Cairo: ", cairo_status_to_string(status)));
}

// Draws on `surface` at `scale` and leaves it complete.
absl::Status Draw(const Figure& figure, double scale,
                  cairo_surface_t* surface) {
  cairo_t* const cairo = cairo_create(surface);
  cairo_scale(cairo, scale, scale);
  Paint(figure, cairo);
  const absl::Status status = Check(cairo_status(cairo));
  cairo_destroy(cairo);
  return status;
}

}  // namespace

std::vector<double> NiceTicks(double low, double high, int count) {
  const double span = std::max(high - low, 1e-9);
  const double rough = span / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  }
  const double first = std::floor(low / step + 1e-9);
  const double last = std::max(first + 1, std::ceil(high / step - 1e-9));
  std::vector<double> ticks;
  for (double i = first; i <= last; i += 1) ticks.push_back(i * step);
  return ticks;
}

FigureSize SizeOf(const Figure& figure) {
  const double rows =
      std::ceil(static_cast<double>(figure.panels.size()) / figure.columns);
  const auto legend =
      static_cast<double>(LegendRows(figure, InnerWidth(figure)).size());
  return {InnerWidth(figure) + 2 * kMargin,
          kTitle + rows * figure.panel_height + legend * kLegendRow + kMargin};
}

absl::StatusOr<std::string> FigureSvg(const Figure& figure) {
  std::string bytes;
  const FigureSize size = SizeOf(figure);
  cairo_surface_t* const surface = cairo_svg_surface_create_for_stream(
      Append, &bytes, size.width, size.height);
  absl::Status status = Draw(figure, 1, surface);
  cairo_surface_finish(surface);
  if (status.ok()) status = Check(cairo_surface_status(surface));
  cairo_surface_destroy(surface);
  if (!status.ok()) return status;
  return bytes;
}

absl::StatusOr<std::string> FigurePng(const Figure& figure) {
  std::string bytes;
  const FigureSize size = SizeOf(figure);
  cairo_surface_t* const surface = cairo_image_surface_create(
      CAIRO_FORMAT_RGB24, static_cast<int>(std::lround(size.width * kPngScale)),
      static_cast<int>(std::lround(size.height * kPngScale)));
  absl::Status status = Draw(figure, kPngScale, surface);
  if (status.ok()) {
    status = Check(cairo_surface_write_to_png_stream(surface, Append, &bytes));
  }
  cairo_surface_destroy(surface);
  if (!status.ok()) return status;
  return bytes;
}

}  // namespace promptd::experiments
