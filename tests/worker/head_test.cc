#include "worker/head.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

// Three classes in two dimensions.
const ClassHead kText = {{{3, 2}, {1, 0, 0, 1, 0.6f, 0.8f}}};

// What the 16-bit numbers of rows with weights up to 1 may cost here.
constexpr double kTolerance = 2e-5;

std::vector<Scored> Rank(const std::vector<float>& image, const ClassHead& head,
                         float logit_scale, int top_k) {
  return RankClasses(image, ResidentHead(head), logit_scale, top_k);
}

TEST(HeadTest, IsASoftmaxOfScaledCosines) {
  // The image's length must not matter: (3, 4) has norm 5.
  const std::vector<float> image = {3, 4};
  const std::vector<Scored> scores = Rank(image, kText, 10.0f, 3);
  ASSERT_EQ(scores.size(), 3u);
  const double z0 = std::exp(10 * 0.6), z1 = std::exp(10 * 0.8),
               z2 = std::exp(10 * 1.0);
  const double total = z0 + z1 + z2;
  EXPECT_EQ(scores[0].class_index, 2);
  EXPECT_NEAR(scores[0].similarity, 1.0, kTolerance);
  EXPECT_NEAR(scores[0].probability, z2 / total, kTolerance);
  EXPECT_EQ(scores[1].class_index, 1);
  EXPECT_NEAR(scores[1].probability, z1 / total, kTolerance);
  EXPECT_NEAR(scores[2].probability, z0 / total, kTolerance);
}

TEST(HeadTest, ATemperatureChangesProbabilitiesAlone) {
  ClassHead warm = kText;
  warm.temperature = 2.5;
  const std::vector<float> image = {3, 4};
  const std::vector<Scored> plain = Rank(image, kText, 4.0f, 3);
  const std::vector<Scored> scores = Rank(image, warm, 10.0f, 3);
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_EQ(scores[i].class_index, plain[i].class_index);
    EXPECT_EQ(scores[i].similarity, plain[i].similarity);
    EXPECT_NEAR(scores[i].probability, plain[i].probability, 1e-6);
  }
}

TEST(HeadTest, TopKIsCappedAndProbabilitiesStayOverAllClasses) {
  const std::vector<float> image = {1, 0};
  const std::vector<Scored> one = Rank(image, kText, 1.0f, 1);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_LT(one[0].probability, 0.6);
  EXPECT_EQ(Rank(image, kText, 1.0f, 100).size(), 3u);
  EXPECT_EQ(Rank(image, kText, 1.0f, 0).size(), 1u);
}

TEST(HeadTest, TiesGoToTheLowerIndexAndAZeroImageIsHarmless) {
  const std::vector<float> zero = {0, 0};
  const std::vector<Scored> scores = Rank(zero, kText, 100.0f, 3);
  EXPECT_EQ(scores[0].class_index, 0);
  EXPECT_NEAR(scores[0].probability, 1.0 / 3, kTolerance);
}

TEST(HeadTest, ABiasMovesTheProbabilityAndNotTheSimilarity) {
  ClassHead head = kText;
  head.bias = {{3}, {5, 0, 0}};
  const std::vector<float> image = {3, 4};
  const std::vector<Scored> scores = Rank(image, head, 10.0f, 3);
  const double z0 = std::exp(10 * 0.6 + 5), z1 = std::exp(10 * 0.8),
               z2 = std::exp(10 * 1.0);
  EXPECT_EQ(scores[0].class_index, 0);
  EXPECT_NEAR(scores[0].probability, z0 / (z0 + z1 + z2), kTolerance);
  EXPECT_NEAR(scores[0].similarity, 0.6, kTolerance);
}

TEST(HeadTest, AProbeReadsTheRawFeatureWithoutTheScale) {
  const ClassHead head = {
      {{2, 2}, {2, 0, 0, 1}}, {{2}, {0.5f, -1}}, /*cosine=*/false};
  const std::vector<float> image = {3, 4};
  const std::vector<Scored> scores = Rank(image, head, 100.0f, 2);
  const double z0 = std::exp(6 + 0.5), z1 = std::exp(4 - 1.0);
  EXPECT_EQ(scores[0].class_index, 0);
  EXPECT_NEAR(scores[0].probability, z0 / (z0 + z1), kTolerance);
  EXPECT_NEAR(scores[0].similarity, 0.6, kTolerance);
  EXPECT_NEAR(scores[1].similarity, 0.8, kTolerance);
}

TEST(HeadTest, LargeScalesDoNotOverflow) {
  const std::vector<float> image = {0, 1};
  const std::vector<Scored> scores = Rank(image, kText, 1e6f, 2);
  EXPECT_EQ(scores[0].class_index, 1);
  EXPECT_FLOAT_EQ(scores[0].probability, 1.0f);
}

}  // namespace
}  // namespace promptd::worker
