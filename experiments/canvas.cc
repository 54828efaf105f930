#include "experiments/canvas.h"

#include <cmath>

namespace promptd::experiments {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr Rgb kColors[] = {
    {0.000, 0.447, 0.698},  // blue
    {0.835, 0.369, 0.000},  // vermillion
    {0.000, 0.620, 0.451},  // bluish green
    {0.800, 0.475, 0.655},  // reddish purple
    {0.902, 0.624, 0.000},  // orange
    {0.337, 0.706, 0.914},  // sky blue
    {0.250, 0.250, 0.250},  // dark grey
};
constexpr int kColorCount = sizeof(kColors) / sizeof(kColors[0]);
constexpr int kMarkerCount = 5;

}  // namespace

Rgb StyleColor(int style) { return kColors[style % kColorCount]; }

void Canvas::Color(Rgb color) {
  cairo_set_source_rgb(cairo_, color.red, color.green, color.blue);
}

void Canvas::Font(double size, bool bold) {
  cairo_select_font_face(
      cairo_, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
      bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo_, size);
}

void Canvas::Fill(double x, double y, double width, double height, Rgb color) {
  Color(color);
  cairo_rectangle(cairo_, x, y, width, height);
  cairo_fill(cairo_);
}

void Canvas::Hatch(double x, double y, double width, double height) {
  cairo_save(cairo_);
  cairo_rectangle(cairo_, x, y, width, height);
  cairo_clip(cairo_);
  Color({1, 1, 1});
  cairo_set_line_width(cairo_, 0.8);
  for (double at = -height; at < width; at += 4) {
    cairo_move_to(cairo_, x + at, y + height);
    cairo_line_to(cairo_, x + at + height, y);
  }
  cairo_stroke(cairo_);
  cairo_restore(cairo_);
}

void Canvas::Line(double x1, double y1, double x2, double y2, Rgb color,
                  double width) {
  Color(color);
  cairo_set_line_width(cairo_, width);
  cairo_move_to(cairo_, x1, y1);
  cairo_line_to(cairo_, x2, y2);
  cairo_stroke(cairo_);
}

double Canvas::TextWidth(const std::string& text, double size, bool bold) {
  Font(size, bold);
  cairo_text_extents_t extents;
  cairo_text_extents(cairo_, text.c_str(), &extents);
  return extents.x_advance;
}

void Canvas::Text(const std::string& text, double x, double y, double size,
                  Align align, bool bold, Rgb color) {
  const double width = TextWidth(text, size, bold);
  Color(color);
  const double shift = align == Align::kLeft     ? 0
                       : align == Align::kCenter ? width / 2
                                                 : width;
  cairo_move_to(cairo_, x - shift, y);
  cairo_show_text(cairo_, text.c_str());
}

void Canvas::VerticalText(const std::string& text, double x, double y,
                          double size) {
  cairo_save(cairo_);
  cairo_translate(cairo_, x, y);
  cairo_rotate(cairo_, -kPi / 2);
  Text(text, 0, 0, size, Align::kCenter);
  cairo_restore(cairo_);
}

void Canvas::SlantedText(const std::string& text, double x, double y,
                         double size, double degrees) {
  cairo_save(cairo_);
  cairo_translate(cairo_, x, y);
  cairo_rotate(cairo_, -degrees * kPi / 180);
  Text(text, 0, 0, size, Align::kRight);
  cairo_restore(cairo_);
}

void Canvas::Polygon(const double (*corners)[2], int count, double x,
                     double y) {
  for (int i = 0; i < count; ++i) {
    cairo_line_to(cairo_, x + corners[i][0], y + corners[i][1]);
  }
  cairo_close_path(cairo_);
}

void Canvas::Marker(int style, double x, double y) {
  static constexpr double kSquare[][2] = {
      {-3.1, -3.1}, {3.1, -3.1}, {3.1, 3.1}, {-3.1, 3.1}};
  static constexpr double kUp[][2] = {{0, -4.2}, {3.8, 2.8}, {-3.8, 2.8}};
  static constexpr double kDiamond[][2] = {
      {0, -4.4}, {4.4, 0}, {0, 4.4}, {-4.4, 0}};
  static constexpr double kDown[][2] = {{0, 4.2}, {3.8, -2.8}, {-3.8, -2.8}};
  cairo_new_path(cairo_);
  switch (style % kMarkerCount) {
    case 0:
      cairo_arc(cairo_, x, y, 3.5, 0, 2 * kPi);
      break;
    case 1:
      Polygon(kSquare, 4, x, y);
      break;
    case 2:
      Polygon(kUp, 3, x, y);
      break;
    case 3:
      Polygon(kDiamond, 4, x, y);
      break;
    default:
      Polygon(kDown, 3, x, y);
  }
  Color(StyleColor(style));
  cairo_fill_preserve(cairo_);
  Color({1, 1, 1});
  cairo_set_line_width(cairo_, 0.8);
  cairo_stroke(cairo_);
}

void Canvas::Star(double x, double y, double radius, Rgb color) {
  cairo_new_path(cairo_);
  for (int i = 0; i < 10; ++i) {
    const double angle = -kPi / 2 + i * kPi / 5;
    const double reach = i % 2 == 0 ? radius : radius * 0.42;
    cairo_line_to(cairo_, x + reach * std::cos(angle),
                  y + reach * std::sin(angle));
  }
  cairo_close_path(cairo_);
  Color(color);
  cairo_fill_preserve(cairo_);
  Color({1, 1, 1});
  cairo_set_line_width(cairo_, 0.6);
  cairo_stroke(cairo_);
}

void Canvas::ErrorBar(double x, double low, double high, double cap,
                      Rgb color) {
  Line(x, low, x, high, color, 1);
  Line(x - cap, low, x + cap, low, color, 1);
  Line(x - cap, high, x + cap, high, color, 1);
}

}  // namespace promptd::experiments
