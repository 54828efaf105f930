// A benchmark: which datasets and encoders the experiments run on.
//
//   {"tasks": [{"name": "food", "folder": "tasks/food",
//               "template": "a drawing of a {}, a kind of food.",
//               "unseen_classes": ["melon"]}, ...],
//    "variant_tasks": ["food"],
//    "domain_generalization": {
//      "source": {"name": "styles", "folder": ..., "template": ...},
//      "targets": [{"name": "styles-noto", "folder": ...,
//                   "unseen_style": true}, ...]},
//    "encoders": [{"name": "embedded", "folder": "embedded"}]}
//
// A dataset has either a "folder", relative to the file, that is pushed where
// the server does not hold the same images, or a "dataset": a name that the
// server holds. Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace promptd::experiments {

struct BenchmarkDataset {
  std::string name;
  std::string field;          // where it stands in the file: "tasks[2]"
  std::string folder;         // empty: registered on the server
  std::string dataset;        // its name there; empty: a folder
  std::string template_text;  // zero-shot, with one "{}"; empty of a target
  std::vector<std::string> unseen_classes;  // by the encoder's training
  bool unseen_style = false;
};

struct BenchmarkEncoder {
  std::string name;
  std::string field;
  std::string folder;  // where it can be had; empty: unknown
};

struct Benchmark {
  std::string file;
  std::vector<BenchmarkDataset> tasks;
  std::vector<std::string> variant_tasks;  // of the smaller experiments
  std::optional<BenchmarkDataset> source;  // of domain generalization
  std::vector<BenchmarkDataset> targets;
  std::vector<BenchmarkEncoder> encoders;

  // A task, the source or a target; null when there is none of that name.
  const BenchmarkDataset* Find(const std::string& name) const;
};

// INVALID_ARGUMENT (BAD_BENCHMARK) names the file and every wrong field;
// ReadFile's errors.
absl::StatusOr<Benchmark> ReadBenchmark(const std::string& file);

// What is only known once the datasets were read: their classes, by dataset.
// INVALID_ARGUMENT (BAD_BENCHMARK) for classes of a target that the source has
// not and for unseen classes that a task has not. Datasets that are not in
// `classes` are not checked.
absl::Status CheckClasses(
    const Benchmark& benchmark,
    const std::map<std::string, std::vector<std::string>>& classes);

}  // namespace promptd::experiments
