#include "client/dataset_import.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/error_report.h"
#include "client/progress.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/nearest_name.h"
#include "common/status_macros.h"
#include "datasets/coop_layout.h"
#include "datasets/list_reader.h"
#include "datasets/list_text.h"
#include "datasets/name_rules.h"
#include "datasets/row_list.h"
#include "datasets/tar_shards.h"

namespace promptd::client {
namespace {

constexpr size_t kMaxNamed = 5;

std::vector<std::string> CoopNames() {
  std::vector<std::string> names;
  for (const datasets::CoopLayout& layout : datasets::CoopLayouts()) {
    names.push_back(layout.name);
  }
  return names;
}

// In any case; all of them when none is near.
std::string NearestCoopName(const std::string& name) {
  std::vector<std::string> folded = CoopNames();
  for (std::string& choice : folded) choice = absl::AsciiStrToLower(choice);
  const std::string nearest = NearestName(absl::AsciiStrToLower(name), folded);
  if (nearest.empty()) return absl::StrJoin(CoopNames(), ", ");
  return datasets::FindCoopLayout(nearest)->name;
}

// nullptr for the layouts that need none.
absl::StatusOr<const datasets::CoopLayout*> ChosenLayout(
    const ImportOptions& options) {
  if (options.layout != "coop") {
    if (options.coop_name.empty()) return nullptr;
    return UsageError(
        absl::StrCat("--name chooses one of CoOp's datasets, "
                     "not of --layout ",
                     options.layout, ": name the dataset with --as"));
  }
  if (!options.classes_file.empty()) {
    return UsageError(
        "--classes is not for --layout coop: its lists have the class names");
  }
  const datasets::CoopLayout* layout =
      datasets::FindCoopLayout(options.coop_name);
  if (layout != nullptr) return layout;
  if (options.coop_name.empty()) {
    return UsageError(absl::StrCat("--layout coop needs --name: choose ",
                                   absl::StrJoin(CoopNames(), ", ")));
  }
  return UsageError(absl::StrCat("\"", Printable(options.coop_name),
                                 "\" is none of CoOp's datasets: choose ",
                                 NearestCoopName(options.coop_name)));
}

// "pets" of "./lists/pets.csv" and of "pets/".
std::string NameOfPath(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  std::string name = datasets::FileName(path);
  const size_t dot = name.rfind('.');
  if (dot != std::string::npos && dot > 0) name.resize(dot);
  return FoldName(name);
}

absl::StatusOr<std::string> ServerName(const ImportOptions& options,
                                       const datasets::CoopLayout* layout) {
  std::string name = options.as;
  if (name.empty()) {
    name =
        layout != nullptr ? FoldName(layout->name) : NameOfPath(options.path);
  }
  if (datasets::IsDatasetName(name)) return name;
  return UsageError(absl::StrCat(
      "\"", Printable(name),
      "\" cannot name a dataset: choose one with --as, of lower-case letters, "
      "digits, dots, dashes and underscores, at most 63"));
}

absl::StatusOr<datasets::ImageList> ReadList(
    const ImportOptions& options, const datasets::CoopLayout* layout) {
  if (layout != nullptr) {
    return datasets::ReadCoopDataset(options.path, *layout);
  }
  std::vector<std::string> classes;
  if (!options.classes_file.empty()) {
    ASSIGN_OR_RETURN(classes, datasets::ReadClassFile(options.classes_file));
  }
  if (options.layout == "csv") {
    return datasets::ReadCsvList(options.path, classes);
  }
  if (options.layout == "jsonl") {
    return datasets::ReadJsonlList(options.path, classes);
  }
  return datasets::ReadTarShards(options.path, classes);
}

absl::StatusOr<datasets::FolderDataset> ReadImages(
    Session& session, const ImportOptions& options, const std::string& name,
    const datasets::ImageList& list) {
  datasets::ListOptions reading;
  reading.name = name;
  reading.decode = !options.headers_only;
  reading.skip_unreadable = options.skip_unreadable;
  Progress progress(session.console, session.clock);
  reading.progress = [&progress](int64_t read, int64_t total) {
    progress.Update("scan",
                    static_cast<double>(read) / static_cast<double>(total),
                    absl::StrCat(read, " of ", total, " images"));
  };
  return datasets::ReadListedImages(list, reading);
}

// Classes that no few-shot job can draw from; empty when there are no training
// images at all.
std::vector<std::string> UntrainableClasses(
    const datasets::Manifest& manifest) {
  std::vector<bool> has(manifest.class_names.size(), false);
  for (const datasets::Item& item : manifest.items) {
    if (item.split == datasets::Split::kTrain) {
      has[static_cast<size_t>(item.class_index)] = true;
    }
  }
  std::vector<std::string> classes;
  if (std::find(has.begin(), has.end(), true) == has.end()) return classes;
  for (size_t i = 0; i < has.size(); ++i) {
    if (!has[i]) classes.push_back(Printable(manifest.class_names[i]));
  }
  return classes;
}

void TellWhatIsOdd(Session& session, const datasets::ImageList& list,
                   const datasets::FolderDataset& local) {
  for (const std::string& note : list.notes) {
    session.console.Note(absl::StrCat("note     ", Printable(note)));
  }
  if (local.report.images_in_two_splits > 0) {
    session.console.Warn(absl::StrCat(
        local.report.images_in_two_splits,
        " images have the same bytes as an image of another split: results on "
        "the test split may flatter"));
  }
  std::vector<std::string> classes = UntrainableClasses(local.manifest);
  if (classes.empty()) return;
  const size_t count = classes.size();
  classes.resize(std::min(count, kMaxNamed));
  session.console.Warn(absl::StrCat(
      count, " classes have no training image (", absl::StrJoin(classes, ", "),
      count > kMaxNamed ? ", ..." : "", "): they cannot be trained on"));
}

bool IsTestOnly(const datasets::Manifest& manifest) {
  return std::none_of(manifest.items.begin(), manifest.items.end(),
                      [](const datasets::Item& item) {
                        return item.split == datasets::Split::kTrain;
                      });
}

}  // namespace

absl::StatusOr<Imported> ImportDataset(Session& session,
                                       const ImportOptions& options) {
  ASSIGN_OR_RETURN(const datasets::CoopLayout* layout, ChosenLayout(options));
  ASSIGN_OR_RETURN(const std::string name, ServerName(options, layout));
  const std::string what = absl::StrCat("cannot import ", options.path);
  const absl::StatusOr<datasets::ImageList> list = ReadList(options, layout);
  if (!list.ok()) return WithWhat(list.status(), what);
  absl::StatusOr<datasets::FolderDataset> local =
      ReadImages(session, options, name, *list);
  if (!local.ok()) return WithWhat(local.status(), what);
  TellWhatIsOdd(session, *list, *local);
  Imported imported;
  imported.skipped = local->report.skipped;
  imported.test_only = IsTestOnly(local->manifest);
  if (layout != nullptr) imported.template_text = layout->template_text;
  ASSIGN_OR_RETURN(imported.push,
                   PushRead(session, *std::move(local), options.path,
                            options.skip_unreadable ? OnRefusal::kLeaveOut
                                                    : OnRefusal::kFail));
  return imported;
}

}  // namespace promptd::client
