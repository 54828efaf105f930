// A plan and its results as numbers: means and deviations over seeds, averages
// over datasets, gains over zero-shot, seen and unseen classes. Pure;
// thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/plan.h"
#include "experiments/result.h"

namespace promptd::experiments {

// All are fractions. The baseline is Evaluation.zero_shot_accuracy: the best
// of the server's zero-shot templates on the very images that are scored.
enum class Measure {
  kAccuracy,
  kGain,      // accuracy over the baseline
  kBaseline,  // itself
  kMacroF1,
  kEce,
  // Means of per-class accuracies (every class counts alike), over the classes
  // that the encoder's training had or had not; nothing where there is none.
  kSeenAccuracy,
  kSeenGain,
  kUnseenAccuracy,
  kUnseenGain,
};

// The measure of one evaluation. `unseen` are class names.
std::optional<double> Measured(const v1::Evaluation& evaluation,
                               const std::vector<std::string>& unseen,
                               Measure measure);

struct Summary {
  double mean = 0;
  double deviation = 0;  // population standard deviation over seeds
  int seeds = 0;         // that there are
  int planned = 0;
};

// The members of all seeds with one dataset, encoder and method, on what they
// are scored.
struct Slice {
  std::string dataset;
  std::string encoder;
  std::string method;
  std::string scored;        // empty: the dataset itself
  std::optional<int> shots;  // nothing: whatever the plan has
};

class Study {
 public:
  Study(Plan plan, std::map<std::string, MemberResult> results)
      : plan_(std::move(plan)), results_(std::move(results)) {}

  const Plan& plan() const { return plan_; }
  const std::map<std::string, MemberResult>& results() const {
    return results_;
  }

  // Nothing while no seed has a result.
  std::optional<Summary> Of(const Slice& slice, Measure measure) const;

  // The mean of several slices; its deviation is that of the mean over the
  // seeds that all of them have. Nothing while one of them has no result: an
  // average over fewer datasets would compare with nothing.
  std::optional<Summary> Average(const std::vector<Slice>& slices,
                                 Measure measure) const;

  // Members without a result, and those that failed.
  std::vector<const Member*> Missing() const;
  std::vector<const Member*> Failed() const;

 private:
  struct Values {
    std::map<int64_t, double> by_seed;
    int planned = 0;
  };
  Values ValuesOf(const Slice& slice, Measure measure) const;

  Plan plan_;
  std::map<std::string, MemberResult> results_;
};

}  // namespace promptd::experiments
