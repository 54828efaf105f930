#include "worker/resident_head.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "worker/head.h"

namespace promptd::worker {
namespace {

struct Sample {
  ClassHead head;
  std::vector<float> feature;
};

// `unit`: rows of unit length, as text features have; else as a probe's.
Sample RandomSample(std::mt19937* random, int64_t classes, int64_t width,
                    bool unit) {
  std::normal_distribution<float> normal;
  Sample sample;
  sample.head.cosine = unit;
  sample.head.weights = {{classes, width}, {}};
  for (int64_t c = 0; c < classes; ++c) {
    std::vector<float> row(width);
    double square = 0;
    for (float& weight : row) {
      weight = normal(*random) * (unit ? 1.0f : 30.0f);
      square += double{weight} * weight;
    }
    const double factor = unit ? 1 / std::sqrt(square) : 1;
    for (const float weight : row) {
      sample.head.weights.values.push_back(static_cast<float>(weight * factor));
    }
  }
  sample.feature.resize(width);
  for (float& value : sample.feature) value = normal(*random);
  return sample;
}

// The bound of the header, with what float32 sums may add to it.
TEST(ResidentHeadTest, ProductsAreWithinTheBound) {
  std::mt19937 random(1);
  for (const bool unit : {true, false}) {
    for (const int64_t width : {1, 7, 8, 64, 512, 1024}) {
      const Sample sample = RandomSample(&random, 20, width, unit);
      const ResidentHead head(sample.head);
      double length = 0;
      for (const float value : sample.feature) length += std::abs(value);
      for (size_t c = 0; c < head.classes(); ++c) {
        const float* row = sample.head.weights.values.data() + c * width;
        double exact = 0;
        double largest = 0;
        for (int64_t i = 0; i < width; ++i) {
          exact += double{row[i]} * sample.feature[i];
          largest = std::max(largest, std::abs(double{row[i]}));
        }
        EXPECT_NEAR(head.Dot(c, sample.feature), exact,
                    largest * length * (1.0 / 65534 + 1e-6))
            << width << " " << c;
      }
    }
  }
}

// With rows of unit length of CLIP's widths a cosine moves by less than 1e-5.
TEST(ResidentHeadTest, CosinesOfTextFeaturesKeepFiveDigits) {
  std::mt19937 random(2);
  for (int round = 0; round < 20; ++round) {
    const Sample sample = RandomSample(&random, 100, 512, /*unit=*/true);
    double square = 0;
    for (const float value : sample.feature) square += double{value} * value;
    for (const Scored& scored :
         RankClasses(sample.feature, ResidentHead(sample.head), 100, 100)) {
      const float* row = sample.head.weights.values.data() +
                         static_cast<size_t>(scored.class_index) * 512;
      double dot = 0;
      for (int i = 0; i < 512; ++i) dot += double{row[i]} * sample.feature[i];
      EXPECT_NEAR(scored.similarity, dot / std::sqrt(square), 1e-5);
    }
  }
}

TEST(ResidentHeadTest, RowsOfZerosStayZeros) {
  const ResidentHead head({{{2, 3}, {0, 0, 0, 1, 0, 0}}, {}, /*cosine=*/false});
  EXPECT_EQ(head.Dot(0, std::vector<float>{1, 2, 3}), 0);
  EXPECT_EQ(head.InverseLength(0), 0);
  EXPECT_EQ(head.InverseLength(1), 1);
  EXPECT_EQ(head.Bias(1), 0);
}

// Both ends of a row's range are there.
TEST(ResidentHeadTest, LargestWeightsAreExact) {
  const ResidentHead head({{{1, 2}, {-0.75f, 0.75f}}});
  EXPECT_FLOAT_EQ(head.Dot(0, std::vector<float>{1, 0}), -0.75f);
  EXPECT_FLOAT_EQ(head.Dot(0, std::vector<float>{0, 1}), 0.75f);
}

}  // namespace
}  // namespace promptd::worker
