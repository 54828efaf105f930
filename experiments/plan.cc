#include "experiments/plan.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/nearest_name.h"
#include "experiments/design.h"
#include "experiments/methods.h"

namespace promptd::experiments {
namespace {

constexpr int kMaxShots = 100'000;

class Planner {
 public:
  Planner(const std::string& experiment, const Benchmark& benchmark,
          const PlanOptions& options)
      : benchmark_(benchmark),
        options_(options),
        design_(DesignOf(experiment, options.variants)) {
    plan_.experiment = experiment;
  }

  absl::StatusOr<Plan> Make() {
    ChooseTasks();
    ChooseEncoders();
    ChooseShots();
    CheckRest();
    if (!problems_.empty()) return InvalidFields("BAD_PLAN", problems_);
    ListDatasets();
    for (const Method& method : design_.methods) {
      plan_.methods.push_back({method.key, method.label});
    }
    for (const std::string& encoder : plan_.encoders) {
      for (const BenchmarkDataset* task : tasks_) AddTask(*task, encoder);
    }
    return std::move(plan_);
  }

 private:
  using On = Design::On;

  void Problem(const std::string& field, const std::string& description) {
    problems_.push_back({field, description});
  }

  bool OnSource() const {
    return benchmark_.source.has_value() &&
           (design_.on == On::kSource ||
            design_.on == On::kVariantTasksAndSource);
  }

  void ChooseTasks() {
    if (design_.on == On::kSource) {
      if (!options_.tasks.empty() || options_.all_tasks) {
        Problem("--tasks", absl::StrCat("does not go with ", plan_.experiment,
                                        ": it trains on the source only"));
      }
    } else if (!options_.tasks.empty()) {
      NamedTasks();
    } else {
      const bool few = design_.on != On::kTasks && !options_.all_tasks &&
                       !benchmark_.variant_tasks.empty();
      for (const BenchmarkDataset& task : benchmark_.tasks) {
        if (!few || IsVariantTask(task)) tasks_.push_back(&task);
      }
    }
    if (OnSource()) {
      const auto same = [&](const BenchmarkDataset* task) {
        return task->name == benchmark_.source->name;
      };
      tasks_.erase(std::remove_if(tasks_.begin(), tasks_.end(), same),
                   tasks_.end());
      tasks_.push_back(&*benchmark_.source);
    }
    if (tasks_.empty() && problems_.empty()) {
      Problem(benchmark_.file,
              design_.on == On::kSource
                  ? "has no \"domain_generalization\", which this experiment "
                    "is about"
                  : "has no \"tasks\", which this experiment is about");
    }
  }

  void NamedTasks() {
    std::vector<std::string> known;
    for (const BenchmarkDataset& task : benchmark_.tasks) {
      known.push_back(task.name);
    }
    for (const std::string& name : options_.tasks) {
      const auto found = std::find(known.begin(), known.end(), name);
      if (found == known.end()) {
        Problem("--tasks", absl::StrCat("\"", name, "\" is not among ",
                                        absl::StrJoin(known, ", ")));
      } else {
        Once(&benchmark_.tasks[static_cast<size_t>(found - known.begin())],
             &tasks_);
      }
    }
  }

  void ChooseEncoders() {
    std::vector<std::string> known;
    for (const BenchmarkEncoder& encoder : benchmark_.encoders) {
      known.push_back(encoder.name);
    }
    if (options_.encoders.empty()) {
      plan_.encoders = known;
      if (!design_.every_encoder && known.size() > 1) plan_.encoders.resize(1);
      return;
    }
    for (const std::string& name : options_.encoders) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        Problem("--encoders", absl::StrCat("\"", name, "\" is not among ",
                                           absl::StrJoin(known, ", ")));
      } else {
        Once(name, &plan_.encoders);
      }
    }
  }

  void ChooseShots() {
    plan_.shots = options_.shots;
    if (plan_.shots.empty()) {
      plan_.shots = design_.by_shots ? std::vector<int>{1, 2, 4, 8, 16}
                                     : std::vector<int>{16};
    }
    std::sort(plan_.shots.begin(), plan_.shots.end());
    plan_.shots.erase(std::unique(plan_.shots.begin(), plan_.shots.end()),
                      plan_.shots.end());
    if (!design_.by_shots && plan_.shots.size() > 1) {
      Problem("--shots", absl::StrCat(plan_.experiment,
                                      " is made at one number of shots"));
    }
    if (plan_.shots.front() < 1 || plan_.shots.back() > kMaxShots) {
      Problem("--shots", absl::StrCat("must be 1 to ", kMaxShots));
    }
  }

  void CheckRest() {
    std::vector<int64_t> seeds;
    for (const int64_t seed : options_.seeds) Once(seed, &seeds);
    if (seeds.empty() || *std::min_element(seeds.begin(), seeds.end()) < 1) {
      Problem("--seeds", "must be numbers from 1 on");
    }
    seeds_ = seeds;
    if (options_.epochs && *options_.epochs < 1) {
      Problem("--epochs", "must be 1 at least");
    }
    if (options_.variants && !design_.by_shots) {
      Problem("--variants", "are of few-shot only");
    }
  }

  template <typename T>
  static void Once(const T& value, std::vector<T>* list) {
    if (std::find(list->begin(), list->end(), value) == list->end()) {
      list->push_back(value);
    }
  }
  static void Once(const BenchmarkDataset* value,
                   std::vector<const BenchmarkDataset*>* list) {
    if (std::find(list->begin(), list->end(), value) == list->end()) {
      list->push_back(value);
    }
  }

  bool IsVariantTask(const BenchmarkDataset& task) const {
    const auto& names = benchmark_.variant_tasks;
    return std::find(names.begin(), names.end(), task.name) != names.end();
  }

  bool IsSource(const BenchmarkDataset& task) const {
    return OnSource() && &task == &*benchmark_.source;
  }

  void ListDatasets() {
    for (const BenchmarkDataset* task : tasks_) {
      PlanDataset dataset;
      dataset.name = task->name;
      dataset.source = IsSource(*task);
      dataset.unseen_classes = task->unseen_classes;
      plan_.datasets.push_back(dataset);
    }
    if (!OnSource()) return;
    for (const BenchmarkDataset& target : benchmark_.targets) {
      PlanDataset dataset;
      dataset.name = target.name;
      dataset.target = true;
      dataset.unseen_style = target.unseen_style;
      plan_.datasets.push_back(dataset);
    }
  }

  // Seeds before methods: those of one seed look at the same images.
  void AddTask(const BenchmarkDataset& task, const std::string& encoder) {
    for (const Method& method : design_.methods) {
      if (!UsesShots(method)) Add(task, encoder, method, 0, 0);
    }
    for (const int shots : plan_.shots) {
      for (const int64_t seed : seeds_) {
        for (const Method& method : design_.methods) {
          const bool elsewhere =
              method.variant && options_.tasks.empty() && !options_.all_tasks &&
              !benchmark_.variant_tasks.empty() && !IsVariantTask(task);
          if (UsesShots(method) && !elsewhere) {
            Add(task, encoder, method, shots, seed);
          }
        }
      }
    }
  }

  void Add(const BenchmarkDataset& task, const std::string& encoder,
           const Method& method, int shots, int64_t seed) {
    Member member;
    member.key = absl::StrCat(task.name, "+", encoder, "+", method.key);
    member.dataset = task.name;
    member.encoder = encoder;
    member.method = method.key;
    member.shots = shots;
    member.seed = seed;
    member.spec = SpecFor(method, task);
    member.spec.set_encoder(encoder);
    if (shots > 0) {
      absl::StrAppend(&member.key, "+shots-", shots, "+seed-", seed);
      member.spec.set_shots(shots);
      member.spec.set_seed(seed);
    }
    if (LearnsBySteps(method)) {
      if (options_.epochs) member.spec.set_epochs(*options_.epochs);
      if (options_.views) member.spec.set_views(*options_.views);
    }
    if (IsSource(task)) {
      for (const BenchmarkDataset& target : benchmark_.targets) {
        member.targets.push_back(target.name);
      }
    }
    plan_.members.push_back(std::move(member));
  }

  const Benchmark& benchmark_;
  const PlanOptions& options_;
  const Design design_;
  std::vector<const BenchmarkDataset*> tasks_;
  std::vector<int64_t> seeds_;
  Plan plan_;
  std::vector<FieldViolation> problems_;
};

}  // namespace

int64_t Plan::JobCount() const {
  int64_t jobs = 0;
  for (const Member& member : members) {
    jobs += 1 + static_cast<int64_t>(member.targets.size());
  }
  return jobs;
}

const PlanDataset* Plan::FindDataset(const std::string& name) const {
  for (const PlanDataset& dataset : datasets) {
    if (dataset.name == name) return &dataset;
  }
  return nullptr;
}

const PlanMethod* Plan::FindMethod(const std::string& key) const {
  for (const PlanMethod& method : methods) {
    if (method.key == key) return &method;
  }
  return nullptr;
}

absl::StatusOr<Plan> MakePlan(const std::string& experiment,
                              const Benchmark& benchmark,
                              const PlanOptions& options) {
  std::vector<std::string> names;
  for (const ExperimentInfo& info : Experiments()) names.push_back(info.name);
  if (std::find(names.begin(), names.end(), experiment) == names.end()) {
    const std::string nearest = NearestName(experiment, names);
    return MakeError(
        absl::StatusCode::kInvalidArgument, "UNKNOWN_EXPERIMENT",
        absl::StrCat(
            "no experiment \"", experiment, "\": ",
            nearest.empty() ? "" : absl::StrCat("did you mean ", nearest, "? "),
            "there are ", absl::StrJoin(names, ", ")));
  }
  return Planner(experiment, benchmark, options).Make();
}

}  // namespace promptd::experiments
