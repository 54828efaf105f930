#include "experiments/benchmark.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "experiments/template_text.h"
#include "nlohmann/json.hpp"

namespace promptd::experiments {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kMaxBenchmarkBytes = 4 << 20;
constexpr char kReason[] = "BAD_BENCHMARK";
constexpr size_t kMaxNameBytes = 63;

// The rule of dataset, task and encoder names.
bool IsName(const std::string& text) {
  if (text.empty() || text.size() > kMaxNameBytes ||
      !absl::ascii_isalnum(static_cast<unsigned char>(text[0]))) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' ||
           c == '_' || c == '-';
  });
}

std::string ListOf(const std::vector<std::string>& names) {
  return absl::StrCat("\"", absl::StrJoin(names, "\", \""), "\"");
}

class Reader {
 public:
  explicit Reader(const std::string& file)
      : folder_(fs::path(file).parent_path()) {
    out_.file = file;
  }

  absl::StatusOr<Benchmark> Read(const json& root) {
    Known(root, "",
          {"tasks", "variant_tasks", "domain_generalization", "encoders"});
    for (const auto& [field, entry] : Entries(root, "", "tasks")) {
      out_.tasks.push_back(Dataset(entry, field, Kind::kTask));
    }
    if (root.contains("domain_generalization")) {
      Domains(root["domain_generalization"]);
    }
    Encoders(root);
    if (out_.tasks.empty() && !out_.source) {
      Problem("tasks",
              "names no dataset, and there is no "
              "domain_generalization either");
    }
    out_.variant_tasks = Strings(root, "", "variant_tasks");
    CheckNames();
    if (!problems_.empty()) return InvalidFields(kReason, problems_);
    return std::move(out_);
  }

 private:
  enum class Kind { kTask, kTarget };
  using Fields = std::vector<std::pair<std::string, json>>;

  static std::string Path(const std::string& at, const std::string& key) {
    return at.empty() ? key : absl::StrCat(at, ".", key);
  }

  void Problem(const std::string& field, const std::string& description) {
    problems_.push_back({field, description});
  }

  void Known(const json& object, const std::string& at,
             std::initializer_list<const char*> keys) {
    if (!object.is_object()) {
      Problem(at.empty() ? "(file)" : at, "must be an object");
      return;
    }
    for (const auto& [key, value] : object.items()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        Problem(Path(at, key), "is not known");
      }
    }
  }

  std::string String(const json& object, const std::string& at,
                     const std::string& key) {
    if (!object.is_object() || !object.contains(key)) return "";
    const json& value = object[key];
    if (!value.is_string()) {
      Problem(Path(at, key), "must be a text");
      return "";
    }
    return value.get<std::string>();
  }

  Fields Entries(const json& object, const std::string& at,
                 const std::string& key) {
    if (!object.is_object() || !object.contains(key)) return {};
    const std::string path = Path(at, key);
    if (!object[key].is_array()) {
      Problem(path, "must be a list");
      return {};
    }
    Fields entries;
    for (size_t i = 0; i < object[key].size(); ++i) {
      entries.emplace_back(absl::StrCat(path, "[", i, "]"), object[key][i]);
    }
    return entries;
  }

  std::vector<std::string> Strings(const json& object, const std::string& at,
                                   const std::string& key) {
    std::vector<std::string> texts;
    for (const auto& [field, entry] : Entries(object, at, key)) {
      if (entry.is_string()) {
        texts.push_back(entry.get<std::string>());
      } else {
        Problem(field, "must be a text");
      }
    }
    return texts;
  }

  std::string Name(const json& object, const std::string& at) {
    const std::string name = String(object, at, "name");
    if (!IsName(name)) {
      Problem(Path(at, "name"),
              "must be 1 to 63 of a-z, 0-9, \".\", \"_\", \"-\" and start "
              "with a letter or digit");
    }
    return name;
  }

  std::string Folder(const json& object, const std::string& at) {
    const std::string text = String(object, at, "folder");
    if (text.empty()) return "";
    const std::string path = (folder_ / text).lexically_normal().string();
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      Problem(Path(at, "folder"), absl::StrCat("\"", path, "\" is no folder"));
    }
    return path;
  }

  BenchmarkDataset Dataset(const json& object, const std::string& at,
                           Kind kind) {
    BenchmarkDataset out;
    out.field = at;
    if (kind == Kind::kTask) {
      Known(object, at,
            {"name", "folder", "dataset", "template", "unseen_classes"});
    } else {
      Known(object, at, {"name", "folder", "dataset", "unseen_style"});
    }
    out.name = Name(object, at);
    out.folder = Folder(object, at);
    out.dataset = String(object, at, "dataset");
    if (out.folder.empty() == out.dataset.empty()) {
      Problem(at, "needs either \"folder\" or \"dataset\"");
    }
    if (kind == Kind::kTask) {
      out.template_text = String(object, at, "template");
      if (PlacesForName(out.template_text) != 1) {
        Problem(Path(at, "template"),
                absl::StrCat("\"", out.template_text,
                             "\" must hold exactly one {}"));
      }
      out.unseen_classes = Strings(object, at, "unseen_classes");
    } else if (object.is_object() && object.contains("unseen_style")) {
      if (object["unseen_style"].is_boolean()) {
        out.unseen_style = object["unseen_style"].get<bool>();
      } else {
        Problem(Path(at, "unseen_style"), "must be true or false");
      }
    }
    return out;
  }

  void Domains(const json& object) {
    const std::string at = "domain_generalization";
    Known(object, at, {"source", "targets"});
    if (!object.is_object() || !object.contains("source")) {
      Problem(Path(at, "source"), "is missing");
      return;
    }
    out_.source = Dataset(object["source"], Path(at, "source"), Kind::kTask);
    for (const auto& [field, entry] : Entries(object, at, "targets")) {
      out_.targets.push_back(Dataset(entry, field, Kind::kTarget));
    }
    if (out_.targets.empty()) {
      Problem(Path(at, "targets"), "names no dataset");
    }
  }

  void Encoders(const json& root) {
    for (const auto& [field, entry] : Entries(root, "", "encoders")) {
      Known(entry, field, {"name", "folder"});
      BenchmarkEncoder encoder;
      encoder.field = field;
      encoder.name = Name(entry, field);
      // It may be elsewhere on the server's machine: not looked for here.
      const std::string folder = String(entry, field, "folder");
      if (!folder.empty()) {
        encoder.folder = (folder_ / folder).lexically_normal().string();
      }
      out_.encoders.push_back(encoder);
    }
    if (out_.encoders.empty()) Problem("encoders", "names no encoder");
  }

  void CheckNames() {
    std::set<std::string> seen;
    const auto once = [&](const BenchmarkDataset& dataset) {
      if (!dataset.name.empty() && !seen.insert(dataset.name).second) {
        Problem(Path(dataset.field, "name"),
                absl::StrCat("\"", dataset.name, "\" stands there twice"));
      }
    };
    std::set<std::string> tasks;
    for (const BenchmarkDataset& task : out_.tasks) {
      once(task);
      tasks.insert(task.name);
    }
    // The source may be one of the tasks too.
    for (const BenchmarkDataset& target : out_.targets) once(target);
    if (out_.source && seen.insert(out_.source->name).second == false &&
        tasks.count(out_.source->name) == 0) {
      Problem(Path(out_.source->field, "name"), "is a target as well");
    }
    for (size_t i = 0; i < out_.variant_tasks.size(); ++i) {
      if (tasks.count(out_.variant_tasks[i]) == 0) {
        Problem(absl::StrCat("variant_tasks[", i, "]"),
                absl::StrCat("\"", out_.variant_tasks[i],
                             "\" is not among the tasks"));
      }
    }
    std::set<std::string> encoders;
    for (const BenchmarkEncoder& encoder : out_.encoders) {
      if (!encoders.insert(encoder.name).second) {
        Problem(Path(encoder.field, "name"), "stands there twice");
      }
    }
  }

  const fs::path folder_;
  Benchmark out_;
  std::vector<FieldViolation> problems_;
};

// Those of `names` that are not among `all`.
std::vector<std::string> Missing(const std::vector<std::string>& names,
                                 const std::vector<std::string>& all) {
  const std::set<std::string> known(all.begin(), all.end());
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (known.count(name) == 0) missing.push_back(name);
  }
  return missing;
}

}  // namespace

const BenchmarkDataset* Benchmark::Find(const std::string& name) const {
  for (const BenchmarkDataset& task : tasks) {
    if (task.name == name) return &task;
  }
  if (source && source->name == name) return &*source;
  for (const BenchmarkDataset& target : targets) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

absl::StatusOr<Benchmark> ReadBenchmark(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxBenchmarkBytes));
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) {
    return MakeError(absl::StatusCode::kInvalidArgument, kReason,
                     absl::StrCat(file, " is not JSON"));
  }
  absl::StatusOr<Benchmark> benchmark = Reader(file).Read(root);
  if (!benchmark.ok()) return Annotate(benchmark.status(), file);
  return benchmark;
}

absl::Status CheckClasses(
    const Benchmark& benchmark,
    const std::map<std::string, std::vector<std::string>>& classes) {
  std::vector<FieldViolation> problems;
  const auto unseen = [&](const BenchmarkDataset& task) {
    const auto own = classes.find(task.name);
    if (own == classes.end()) return;
    const auto missing = Missing(task.unseen_classes, own->second);
    if (!missing.empty()) {
      problems.push_back(
          {absl::StrCat(task.field, ".unseen_classes"),
           absl::StrCat("\"", task.name, "\" has no class ", ListOf(missing))});
    }
  };
  for (const BenchmarkDataset& task : benchmark.tasks) unseen(task);
  if (benchmark.source) {
    unseen(*benchmark.source);
    const auto own = classes.find(benchmark.source->name);
    for (const BenchmarkDataset& target : benchmark.targets) {
      const auto theirs = classes.find(target.name);
      if (own == classes.end() || theirs == classes.end()) continue;
      const auto missing = Missing(theirs->second, own->second);
      if (missing.empty()) continue;
      problems.push_back(
          {target.field,
           absl::StrCat("\"", target.name, "\" has classes that the source \"",
                        benchmark.source->name,
                        "\" has not: ", ListOf(missing))});
    }
  }
  if (problems.empty()) return absl::OkStatus();
  return Annotate(InvalidFields(kReason, problems), benchmark.file);
}

}  // namespace promptd::experiments
