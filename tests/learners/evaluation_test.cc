#include "learners/evaluation.h"

#include <cmath>
#include <cstdint>
#include <fstream>
#include <numeric>
#include <vector>

#include "common/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::ElementsAre;

FloatTensor FromRows(const nlohmann::json& rows) {
  FloatTensor tensor;
  for (const auto& row : rows) {
    for (const float value : row) tensor.values.push_back(value);
  }
  const int64_t count = static_cast<int64_t>(rows.size());
  tensor.shape = {count, static_cast<int64_t>(tensor.values.size()) / count};
  return tensor;
}

TEST(EvaluationTest, AgreesWithScikitLearn) {
  std::ifstream file(LearnersGoldenDir() + "/scores.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const auto scores =
      ScoreFeatures(FromRows(golden.at("images")),
                    golden.at("labels").get<std::vector<int>>(),
                    {FromRows(golden.at("text"))}, golden.at("scale"));
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_NEAR(scores->accuracy, golden.at("accuracy").get<double>(), 1e-12);
  EXPECT_NEAR(scores->macro_f1, golden.at("macro_f1").get<double>(), 1e-12);
  EXPECT_NEAR(scores->ece, golden.at("ece").get<double>(), 1e-6);
  const auto confusion =
      golden.at("confusion").get<std::vector<std::vector<int64_t>>>();
  for (size_t row = 0; row < 5; ++row) {
    for (size_t column = 0; column < 5; ++column) {
      EXPECT_EQ(scores->confusion[row * 5 + column], confusion[row][column]);
    }
    const int64_t images =
        std::accumulate(confusion[row].begin(), confusion[row].end(), 0);
    EXPECT_EQ(scores->class_images[row], images);
    if (images > 0) {
      EXPECT_DOUBLE_EQ(scores->class_accuracy[row],
                       static_cast<double>(confusion[row][row]) / images);
    }
  }
}

TEST(EvaluationTest, LengthOfImageFeaturesDoesNotMatter) {
  const ClassHead text{{{2, 2}, {1, 0, 0, 1}}};
  const auto scores =
      ScoreFeatures({{3, 2}, {2, 1, 20, 10, 1, 5}}, {0, 0, 1}, text, 3);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->accuracy, 1);
  EXPECT_EQ(scores->macro_f1, 1);
  EXPECT_THAT(scores->confusion, ElementsAre(2, 0, 0, 1));
}

TEST(EvaluationTest, TiesGoToTheLowerClass) {
  const ClassHead text{{{2, 2}, {1, 0, 1, 0}}};
  const auto scores = ScoreFeatures({{1, 2}, {1, 0}}, {0}, text, 1);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->accuracy, 1);
  EXPECT_DOUBLE_EQ(scores->ece, 0.5);  // sure to one half, right
}

// Logits 2 * 3 + 0 and 5 * 1 + 1.5: the bias decides, and so does the length.
TEST(EvaluationTest, ScoresRawLogitsWithABias) {
  ClassHead head{{{2, 2}, {2, 0, 0, 5}}, {{2}, {0, 1.5f}}, /*cosine=*/false};
  const auto scores =
      ScoreFeatures({{2, 2}, {3, 1, 6, 1}}, {1, 0}, head, /*scale=*/100);
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->accuracy, 1);
  const double sure = 1 / (1 + std::exp(-0.5)),
               surer = 1 / (1 + std::exp(-5.5));
  EXPECT_NEAR(scores->ece, (1 - sure + 1 - surer) / 2, 1e-12);
  head.bias = {};
  EXPECT_EQ(ScoreFeatures({{1, 2}, {3, 1}}, {0}, head, 100)->accuracy, 1);
}

// Cosines 0.8 and 0.6 times the scale: the bias is added to scaled cosines.
TEST(EvaluationTest, AddsTheBiasToScaledCosines) {
  const FloatTensor image{{1, 2}, {8, 6}};
  ClassHead head{{{2, 2}, {1, 0, 0, 1}}, {{2}, {0, 1.5f}}};
  EXPECT_EQ(ScoreFeatures(image, {1}, head, 7)->accuracy, 1);
  EXPECT_EQ(ScoreFeatures(image, {1}, head, 8)->accuracy, 0);
}

TEST(EvaluationTest, RefusesWhatDoesNotFit) {
  const ClassHead text{{{2, 2}, {1, 0, 0, 1}}};
  const FloatTensor image{{1, 2}, {1, 0}};
  EXPECT_EQ(ErrorReason(ScoreFeatures(image, {2}, text, 1).status()),
            "BAD_SCORING_INPUT");
  EXPECT_EQ(ErrorReason(ScoreFeatures(image, {0, 1}, text, 1).status()),
            "BAD_SCORING_INPUT");
  EXPECT_EQ(
      ErrorReason(ScoreFeatures({{1, 3}, {1, 0, 0}}, {0}, text, 1).status()),
      "BAD_SCORING_INPUT");
  EXPECT_EQ(ErrorReason(ScoreFeatures({{0, 2}, {}}, {}, text, 1).status()),
            "BAD_SCORING_INPUT");
  const ClassHead short_bias{text.weights, {{1}, {0}}};
  EXPECT_EQ(ErrorReason(ScoreFeatures(image, {0}, short_bias, 1).status()),
            "BAD_SCORING_INPUT");
}

// Logits are the features themselves.
const ClassHead kPlain = {{{2, 2}, {1, 0, 0, 1}}, {{2}, {0, 0}}, false};

TEST(FitTemperatureTest, SoftensWhatIsTooSure) {
  // Sure of 0.99995, right in three of four.
  FloatTensor sure = {{400, 2}, {}};
  std::vector<int> labels;
  for (int i = 0; i < 400; ++i) {
    sure.values.insert(sure.values.end(), {10, 0});
    labels.push_back(i % 4 == 0 ? 1 : 0);
  }
  const auto temperature = FitTemperature(sure, labels, kPlain, 1);
  ASSERT_TRUE(temperature.ok()) << temperature.status();
  // Without the prior softmax(10 / T) would be 3/4: T = 10 / log 3 = 9.1.
  EXPECT_NEAR(*temperature, 9.1, 0.3);
  ClassHead head = kPlain;
  const double before = ScoreFeatures(sure, labels, head, 1)->ece;
  head.temperature = *temperature;
  const auto after = ScoreFeatures(sure, labels, head, 1);
  EXPECT_NEAR(before, 0.25, 1e-3);
  EXPECT_LT(after->ece, 0.02);
  EXPECT_EQ(after->accuracy, 0.75);
}

TEST(FitTemperatureTest, SharpensWhatIsTooModestTheMoreImagesSaySo) {
  double last = 1;
  for (const int images : {4, 40, 400}) {
    FloatTensor modest = {{images, 2}, {}};
    std::vector<int> labels;
    for (int i = 0; i < images; ++i) {
      const float first = i % 2 == 0 ? 0.1f : 0.0f;
      modest.values.insert(modest.values.end(), {first, 0.1f - first});
      labels.push_back(i % 2);
    }
    const auto temperature = FitTemperature(modest, labels, kPlain, 1);
    ASSERT_TRUE(temperature.ok());
    EXPECT_LT(*temperature, last);
    last = *temperature;
  }
  EXPECT_LT(last, 0.1);
  EXPECT_GT(last, 0.01);  // though all were right
}

TEST(FitTemperatureTest, IsTheLeastOfItsLoss) {
  const FloatTensor images = {{3, 2}, {2, 0, 1, 0, 0, 1.5f}};
  const std::vector<int> labels = {0, 1, 1};
  const auto loss = [&](double temperature) {
    double sum = std::log(temperature) * std::log(temperature) / 2;
    for (size_t i = 0; i < labels.size(); ++i) {
      const double a = images.values[2 * i] / temperature;
      const double b = images.values[2 * i + 1] / temperature;
      sum += std::log(std::exp(a) + std::exp(b)) - (labels[i] == 0 ? a : b);
    }
    return sum;
  };
  const double best = *FitTemperature(images, labels, kPlain, 1);
  EXPECT_LT(loss(best), loss(best * 1.01));
  EXPECT_LT(loss(best), loss(best / 1.01));
}

TEST(FitTemperatureTest, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(FitTemperature({{1, 2}, {1, 0}}, {2}, kPlain, 1).ok());
  EXPECT_FALSE(FitTemperature({{0, 2}, {}}, {}, kPlain, 1).ok());
}

}  // namespace
}  // namespace promptd::learners
