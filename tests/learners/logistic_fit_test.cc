#include "learners/logistic_fit.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "gtest/gtest.h"
#include "learners/class_prior.h"
#include "learners/regularization_search.h"
#include "learners/tensor_convert.h"
#include "nlohmann/json.hpp"
#include "tests/clip/fake_device.h"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

constexpr int kPowers[] = {-4, -2, 0, 2, 6};

class LogisticFitTest : public ::testing::Test {
 protected:
  at::Tensor Golden(const std::string& name) const {
    const FloatTensor values = *goldens_.Floats(name);
    return ToTensor(values, at::empty({0})).to(at::kDouble);
  }

  LogisticProblem Problem(const std::string& name, double c) const {
    LogisticProblem problem;
    problem.features = Golden(name + ".images");
    problem.labels = Golden(name + ".labels").to(at::kLong);
    problem.classes = problem.labels.max().item<int64_t>() + 1;
    problem.inverse_regularization = c;
    return problem;
  }

  static int Run(LogisticFit* fit) {
    int units = 0;
    while (!fit->done()) {
      EXPECT_TRUE(fit->RunUnit().ok());
      ++units;
    }
    return units;
  }

  const weights::Safetensors goldens_ = *weights::Safetensors::FromFile(
      LearnersGoldenDir() + "/logistic.safetensors");
};

double Largest(const at::Tensor& values) {
  return values.abs().max().item<double>();
}

TEST_F(LogisticFitTest, TheOptimumIsScikitLearns) {
  const auto objectives =
      nlohmann::json::parse(goldens_.metadata().at("objectives"));
  for (const std::string name : {"few", "overlapping", "two"}) {
    for (const int power : kPowers) {
      const std::string key = absl::StrCat(name, ".", power);
      LogisticFit fit(Problem(name, std::pow(10.0, power)));
      Run(&fit);
      const double objective = objectives.at(key);
      const double off = Largest(fit.weights().sub(Golden(key + ".weights")));
      const double bias_off = Largest(fit.bias().sub(Golden(key + ".bias")));
      std::printf(
          "%-15s %4d iterations, end %d, objective %+.1e, weights "
          "%.1e of %.1e, bias %.1e\n",
          key.c_str(), fit.lbfgs().iterations(),
          static_cast<int>(fit.lbfgs().end()), fit.objective() / objective - 1,
          off, Largest(fit.weights()), bias_off);
      EXPECT_NEAR(fit.objective() / objective, 1, 1e-8) << key;
      // Where the classes can be separated hardly anything holds the weights.
      const double tolerance = power == 6 ? 1e-3 : 1e-4;
      EXPECT_LE(off, tolerance) << key;
      EXPECT_LE(bias_off, tolerance) << key;
    }
  }
}

TEST_F(LogisticFitTest, ReportsTheLossWithoutThePenaltyAndTheAccuracy) {
  LogisticFit fit(Problem("overlapping", 1));
  Run(&fit);
  const at::Tensor features = Golden("overlapping.images");
  const at::Tensor labels = Golden("overlapping.labels").to(at::kLong);
  const at::Tensor logits = features.mm(fit.weights().t()).add(fit.bias());
  const double loss = -logits.log_softmax(1)
                           .gather(1, labels.unsqueeze(1))
                           .mean()
                           .item<double>();
  EXPECT_NEAR(fit.mean_loss(), loss, 1e-12);
  EXPECT_NEAR(fit.accuracy(),
              logits.argmax(1).eq(labels).to(at::kDouble).mean().item<double>(),
              1e-12);
  EXPECT_LT(fit.accuracy(), 1);
  EXPECT_GT(fit.accuracy(), 0.5);
}

TEST_F(LogisticFitTest, ChunksOfImagesGiveTheSameOptimumInBoundedUnits) {
  LogisticFit whole(Problem("overlapping", 1));
  const int few = Run(&whole);
  // A row costs 3 (2 * 6 + 64) = 228: seven rows of 48.
  LogisticFit parts(Problem("overlapping", 1), 7 * 228);
  const int many = Run(&parts);
  EXPECT_LT(few, whole.lbfgs().iterations());
  EXPECT_GE(many, 7 * parts.lbfgs().iterations());
  EXPECT_LE(Largest(parts.weights().sub(whole.weights())), 1e-7);
  EXPECT_LE(Largest(parts.bias().sub(whole.bias())), 1e-7);
  EXPECT_EQ(parts.accuracy(), whole.accuracy());
}

TEST_F(LogisticFitTest, RunsOnADeviceThatIsNotTheProcessor) {
  LogisticFit here(Problem("few", 1));
  Run(&here);
  LogisticProblem problem = Problem("few", 1);
  problem.features = problem.features.to(clip::FakeDevice());
  problem.labels = problem.labels.to(clip::FakeDevice());
  LogisticFit there(problem);
  Run(&there);
  EXPECT_LE(Largest(there.weights().to(at::kCPU).sub(here.weights())), 1e-9);
  EXPECT_EQ(there.accuracy(), here.accuracy());
}

TEST_F(LogisticFitTest, BiasesAloneAreScipys) {
  LogisticProblem problem;
  problem.offset = Golden("prior.logits");
  problem.labels = Golden("prior.labels").to(at::kLong);
  problem.classes = 4;
  problem.bias_penalty = kPriorPenalty;
  LogisticFit fit(problem);
  Run(&fit);
  EXPECT_LE(Largest(fit.bias().sub(Golden("prior.bias"))), 1e-5);
  EXPECT_NEAR(fit.objective(),
              std::stod(goldens_.metadata().at("prior_objective")), 1e-8);
  EXPECT_FALSE(fit.weights().defined());
}

TEST_F(LogisticFitTest, FeaturesThatAreNotFiniteAreAnError) {
  LogisticProblem problem = Problem("few", 1);
  problem.features[0][0] = std::numeric_limits<double>::infinity();
  LogisticFit fit(problem);
  const absl::Status status = fit.RunUnit();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ErrorReason(status), "NON_FINITE_LOSS");
}

// Right answers that peak at one C fall off to both sides.
TEST(RegularizationSearchTest, ClosesInOnThePeak) {
  for (const double peak : {-4.3, 0.4, 2.0, 3.7}) {
    RegularizationSearch search;
    int fits = 0;
    while (!search.done()) {
      const double off = std::abs(search.next() - peak);
      search.Tell(static_cast<int64_t>(1e6 - 1e5 * off));
      ++fits;
    }
    EXPECT_EQ(fits, RegularizationSearch::kFits);
    EXPECT_NEAR(search.chosen(), peak, 2 / 128.0) << peak;
    EXPECT_EQ(search.scored().size(), 16u);
  }
}

TEST(RegularizationSearchTest, EqualEndsKeepTheSmallerC) {
  RegularizationSearch search;
  while (!search.done()) search.Tell(5);
  EXPECT_EQ(search.chosen(), 5);  // the first of the grid, 1e6, by 10
  EXPECT_EQ(search.chosen_correct(), 5);
}

}  // namespace
}  // namespace promptd::learners
