#include "experiments/chart.h"

#include <cairo.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace promptd::experiments {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Figure Curves() {
  Figure figure;
  figure.title = "Curves";
  ChartPanel panel;
  panel.title = "food";
  panel.x_label = "Images";
  panel.y_label = "Accuracy (%)";
  for (const int shots : {0, 1, 2}) {
    panel.ticks.push_back({static_cast<double>(shots), std::to_string(shots)});
  }
  panel.series = {{"Zero-shot", 0, true, false, {{0, 40, 0}}},
                  {"CoOp", 1, false, false, {{1, 42, 2}, {2, 50, 1}}}};
  figure.panels = {panel};
  return figure;
}

// A PNG read back, and how much of it a colour takes.
class Picture {
 public:
  explicit Picture(const std::string& png) : rest_(png) {
    surface_.reset(cairo_image_surface_create_from_png_stream(Read, this));
  }
  bool valid() const {
    return cairo_surface_status(surface_.get()) == CAIRO_STATUS_SUCCESS;
  }
  int width() const { return cairo_image_surface_get_width(surface_.get()); }
  int height() const { return cairo_image_surface_get_height(surface_.get()); }
  int Count(double red, double green, double blue) const {
    const auto byte = [](double part) {
      return static_cast<uint32_t>(std::lround(part * 255));
    };
    const uint32_t wanted = byte(red) << 16 | byte(green) << 8 | byte(blue);
    const unsigned char* data = cairo_image_surface_get_data(surface_.get());
    const int stride = cairo_image_surface_get_stride(surface_.get());
    int count = 0;
    for (int y = 0; y < height(); ++y) {
      for (int x = 0; x < width(); ++x) {
        uint32_t pixel;
        std::memcpy(&pixel, data + y * stride + x * 4, 4);
        count += (pixel & 0xffffff) == wanted ? 1 : 0;
      }
    }
    return count;
  }

 private:
  static cairo_status_t Read(void* self, unsigned char* out,
                             unsigned int count) {
    std::string& rest = static_cast<Picture*>(self)->rest_;
    if (rest.size() < count) return CAIRO_STATUS_READ_ERROR;
    std::memcpy(out, rest.data(), count);
    rest.erase(0, count);
    return CAIRO_STATUS_SUCCESS;
  }
  struct Destroy {
    void operator()(cairo_surface_t* surface) const {
      cairo_surface_destroy(surface);
    }
  };
  std::string rest_;
  std::unique_ptr<cairo_surface_t, Destroy> surface_;
};

TEST(ChartTest, TicksAreRoundAndEnclose) {
  EXPECT_THAT(NiceTicks(0, 100, 5), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_THAT(NiceTicks(41.3, 57.2, 5), ElementsAre(40, 45, 50, 55, 60));
  EXPECT_THAT(NiceTicks(-3, 7, 5), ElementsAre(-4, -2, 0, 2, 4, 6, 8));
  for (const auto& [low, high] : {std::pair<double, double>{5, 5},
                                  {0, 0},
                                  {0.0301, 0.0302},
                                  {-1e-9, 99.9999}}) {
    const std::vector<double> ticks = NiceTicks(low, high, 5);
    ASSERT_GE(ticks.size(), 2u);
    EXPECT_LE(ticks.front(), low + 1e-9);
    EXPECT_GE(ticks.back(), high - 1e-9);
    EXPECT_LE(ticks.size(), 9u);
  }
}

TEST(ChartTest, PngHasTheFiguresSizeAndColours) {
  const Figure figure = Curves();
  const auto png = FigurePng(figure);
  ASSERT_TRUE(png.ok()) << png.status();
  const Picture picture(*png);
  ASSERT_TRUE(picture.valid());
  EXPECT_EQ(picture.width(), std::lround(SizeOf(figure).width * kPngScale));
  EXPECT_EQ(picture.height(), std::lround(SizeOf(figure).height * kPngScale));
  // The star and the line, in their colours, on white; no third one.
  EXPECT_GT(picture.Count(0.000, 0.447, 0.698), 30);
  EXPECT_GT(picture.Count(0.835, 0.369, 0.000), 200);
  EXPECT_EQ(picture.Count(0.000, 0.620, 0.451), 0);
  EXPECT_GT(picture.Count(1, 1, 1), picture.width() * picture.height() / 2);
}

TEST(ChartTest, SvgHasTheSameSizeAndIsWhole) {
  const Figure figure = Curves();
  const auto svg = FigureSvg(figure);
  ASSERT_TRUE(svg.ok()) << svg.status();
  EXPECT_THAT(*svg, StartsWith("<?xml"));
  EXPECT_THAT(*svg, HasSubstr("width=\"" + std::to_string(std::lround(
                                               SizeOf(figure).width))));
  EXPECT_THAT(*svg, HasSubstr("</svg>"));
  // The line of CoOp is there; without it, it is not.
  const std::string line = "rgb(83.5%,36.9%,0%)";
  EXPECT_THAT(*svg, HasSubstr(line));
  Figure without = Curves();
  without.panels[0].series.pop_back();
  EXPECT_THAT(*FigureSvg(without), Not(HasSubstr(line)));
}

TEST(ChartTest, BarsGrowWithTheirValue) {
  const auto area = [](double value) {
    Figure figure = Curves();
    ChartPanel& panel = figure.panels[0];
    panel.bars = true;
    panel.series = {{"low", 0, false, false, {{0, value, 0}}},
                    {"high", 1, false, false, {{0, 100, 0}}}};
    return Picture(*FigurePng(figure)).Count(0.000, 0.447, 0.698);
  };
  const double ratio =
      static_cast<double>(area(80)) / static_cast<double>(area(40));
  EXPECT_GT(ratio, 1.7);
  EXPECT_LT(ratio, 2.1);
}

TEST(ChartTest, PanelsStandInAGrid) {
  Figure figure = Curves();
  figure.panels.resize(3, figure.panels[0]);
  const FigureSize column = SizeOf(figure);
  figure.columns = 2;
  const FigureSize grid = SizeOf(figure);
  EXPECT_GT(grid.width, column.width);
  EXPECT_EQ(column.height - grid.height, figure.panel_height);
  EXPECT_TRUE(FigureSvg(figure).ok());
}

TEST(ChartTest, WhatIsEmptyIsDrawnEmpty) {
  Figure figure = Curves();
  figure.panels[0].series.clear();
  figure.panels[0].ticks.clear();
  EXPECT_TRUE(Picture(*FigurePng(figure)).valid());
}

}  // namespace
}  // namespace promptd::experiments
