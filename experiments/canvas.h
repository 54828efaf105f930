// Cairo as the charts use it: text, lines, shapes and error bars in points,
// origin top left. Borrows the context. Thread-compatible.
#pragma once

#include <cairo.h>

#include <string>

namespace promptd::experiments {

struct Rgb {
  double red = 0;
  double green = 0;
  double blue = 0;
};

// Colours that differ for everyone, in the order to use them.
Rgb StyleColor(int style);

enum class Align { kLeft, kCenter, kRight };

class Canvas {
 public:
  explicit Canvas(cairo_t* cairo) : cairo_(cairo) {}

  void Fill(double x, double y, double width, double height, Rgb color);
  // Diagonal lines in white over what is there.
  void Hatch(double x, double y, double width, double height);
  void Line(double x1, double y1, double x2, double y2, Rgb color,
            double width);
  // `y` is the baseline.
  void Text(const std::string& text, double x, double y, double size,
            Align align, bool bold = false, Rgb color = {0.13, 0.13, 0.13});
  // Turned by a quarter, read from below, centred at (x, y).
  void VerticalText(const std::string& text, double x, double y, double size);
  // Turned by `degrees` downwards, its end at (x, y).
  void SlantedText(const std::string& text, double x, double y, double size,
                   double degrees);
  double TextWidth(const std::string& text, double size, bool bold = false);
  // The style's marker, about 7 points large, white at the rim.
  void Marker(int style, double x, double y);
  void Star(double x, double y, double radius, Rgb color);
  void ErrorBar(double x, double low, double high, double cap, Rgb color);

 private:
  void Font(double size, bool bold);
  void Color(Rgb color);
  void Polygon(const double (*corners)[2], int count, double x, double y);

  cairo_t* const cairo_;
};

}  // namespace promptd::experiments
