#include "experiments/study.h"

#include <algorithm>
#include <cmath>

namespace promptd::experiments {
namespace {

struct ClassMeans {
  double accuracy = 0;
  double zero_shot = 0;
};

// Over the classes that are among `unseen`, or those that are not.
std::optional<ClassMeans> OverClasses(const v1::Evaluation& evaluation,
                                      const std::vector<std::string>& unseen,
                                      bool want_unseen) {
  ClassMeans sum;
  int count = 0;
  for (const auto& entry : evaluation.classes()) {
    const bool is_unseen = std::find(unseen.begin(), unseen.end(),
                                     entry.class_name()) != unseen.end();
    if (is_unseen != want_unseen || entry.images() == 0) continue;
    sum.accuracy += entry.accuracy();
    sum.zero_shot += entry.zero_shot_accuracy();
    ++count;
  }
  if (count == 0) return std::nullopt;
  return ClassMeans{sum.accuracy / count, sum.zero_shot / count};
}

double MeanOf(const std::map<int64_t, double>& values) {
  double sum = 0;
  for (const auto& [seed, value] : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double DeviationOf(const std::map<int64_t, double>& values) {
  if (values.size() < 2) return 0;
  const double mean = MeanOf(values);
  double squares = 0;
  for (const auto& [seed, value] : values) {
    squares += (value - mean) * (value - mean);
  }
  return std::sqrt(squares / static_cast<double>(values.size()));
}

const Score* ScoreOn(const MemberResult& result, const std::string& dataset) {
  for (const Score& score : result.scores) {
    if (score.dataset == dataset && score.reason.empty()) return &score;
  }
  return nullptr;
}

}  // namespace

std::optional<double> Measured(const v1::Evaluation& evaluation,
                               const std::vector<std::string>& unseen,
                               Measure measure) {
  switch (measure) {
    case Measure::kAccuracy:
      return evaluation.accuracy();
    case Measure::kGain:
      return evaluation.accuracy() - evaluation.zero_shot_accuracy();
    case Measure::kBaseline:
      return evaluation.zero_shot_accuracy();
    case Measure::kMacroF1:
      return evaluation.macro_f1();
    case Measure::kEce:
      return evaluation.ece();
    default:
      break;
  }
  const bool want_unseen =
      measure == Measure::kUnseenAccuracy || measure == Measure::kUnseenGain;
  const auto means = OverClasses(evaluation, unseen, want_unseen);
  if (!means) return std::nullopt;
  const bool gain =
      measure == Measure::kSeenGain || measure == Measure::kUnseenGain;
  return gain ? means->accuracy - means->zero_shot : means->accuracy;
}

Study::Values Study::ValuesOf(const Slice& slice, Measure measure) const {
  const std::string& scored =
      slice.scored.empty() ? slice.dataset : slice.scored;
  const PlanDataset* dataset = plan_.FindDataset(scored);
  // A target has the source's classes, so what was unseen there is so here.
  const PlanDataset* source = plan_.FindDataset(slice.dataset);
  Values values;
  if (dataset == nullptr || source == nullptr) return values;
  for (const Member& member : plan_.members) {
    if (member.dataset != slice.dataset || member.encoder != slice.encoder ||
        member.method != slice.method ||
        (slice.shots && member.shots != *slice.shots)) {
      continue;
    }
    ++values.planned;
    const auto result = results_.find(member.key);
    if (result == results_.end()) continue;
    const Score* score = ScoreOn(result->second, scored);
    if (score == nullptr) continue;
    const auto value = Measured(score->result, source->unseen_classes, measure);
    if (value) values.by_seed[member.seed] = *value;
  }
  return values;
}

std::optional<Summary> Study::Of(const Slice& slice, Measure measure) const {
  return Average({slice}, measure);
}

std::optional<Summary> Study::Average(const std::vector<Slice>& slices,
                                      Measure measure) const {
  std::vector<Values> all;
  for (const Slice& slice : slices) {
    all.push_back(ValuesOf(slice, measure));
    if (all.back().by_seed.empty()) return std::nullopt;
  }
  if (all.empty()) return std::nullopt;
  Summary out;
  std::map<int64_t, double> means;  // by the seeds that all have
  for (const auto& [seed, value] : all.front().by_seed) {
    double sum = 0;
    bool everywhere = true;
    for (const Values& values : all) {
      const auto found = values.by_seed.find(seed);
      if (found == values.by_seed.end()) {
        everywhere = false;
        break;
      }
      sum += found->second;
    }
    if (everywhere) means[seed] = sum / static_cast<double>(all.size());
  }
  for (const Values& values : all) {
    out.mean += MeanOf(values.by_seed) / static_cast<double>(all.size());
    out.planned = std::max(out.planned, values.planned);
  }
  out.deviation = DeviationOf(means);
  out.seeds = static_cast<int>(means.size());
  return out;
}

std::vector<const Member*> Study::Missing() const {
  std::vector<const Member*> missing;
  for (const Member& member : plan_.members) {
    if (results_.count(member.key) == 0) missing.push_back(&member);
  }
  return missing;
}

std::vector<const Member*> Study::Failed() const {
  std::vector<const Member*> failed;
  for (const Member& member : plan_.members) {
    const auto result = results_.find(member.key);
    if (result != results_.end() && result->second.failed()) {
      failed.push_back(&member);
    }
  }
  return failed;
}

}  // namespace promptd::experiments
