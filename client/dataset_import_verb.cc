// promptctl dataset import
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/dataset_import.h"
#include "client/dataset_view.h"
#include "client/verbs.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

std::string NextStep(const Imported& imported) {
  const std::string& name = imported.push.dataset.name();
  if (imported.test_only) return absl::StrCat("promptctl eval TASK ", name);
  const std::string words =
      imported.template_text.empty()
          ? ""
          : absl::StrCat(" --template \"", imported.template_text, "\"");
  return absl::StrCat("promptctl train ", name, words, " --wait");
}

absl::Status Import(Session& session, const ImportOptions& options) {
  ASSIGN_OR_RETURN(const Imported imported, ImportDataset(session, options));
  if (session.console.json()) {
    nlohmann::json json = ToJson(imported.push);
    json["skipped"] = ToJson(imported.skipped);
    json["template"] = imported.template_text.empty()
                           ? nlohmann::json()
                           : nlohmann::json(imported.template_text);
    session.console.Json(json);
    return absl::OkStatus();
  }
  session.console.out() << DatasetTable({imported.push.dataset},
                                        session.clock.Now());
  session.console.Note(absl::StrCat("next     ", NextStep(imported)));
  return absl::OkStatus();
}

constexpr char kFooter[] =
    "coop   the folders of CoOp's datasets: ROOT holds oxford_pets/ and so "
    "on,\n"
    "       or is that folder; split_zhou_*.json is read, else the dataset's\n"
    "       own lists. Names: Caltech101, OxfordPets, StanfordCars,\n"
    "       OxfordFlowers, Food101, FGVCAircraft, SUN397, "
    "DescribableTextures,\n"
    "       EuroSAT, UCF101, ImageNet, ImageNetV2, ImageNet-Sketch,\n"
    "       ImageNet-A, ImageNet-R\n"
    "csv    FILE with a header line: file_name,label or file_name,label,split\n"
    "jsonl  FILE with {\"file_name\": ..., \"label\": ...} a line, perhaps "
    "\"split\"\n"
    "tar    FILE or a folder of *.tar: KEY.jpg with KEY.cls or KEY.json\n\n"
    "Everything is read first and all problems are listed; then only images\n"
    "that the server does not hold yet are sent.\n\n"
    "Examples:\n"
    "  promptctl dataset import --layout coop --name OxfordPets /data\n"
    "  promptctl dataset import --layout csv birds/images.csv --as birds\n"
    "  promptctl dataset import --layout tar shards/ --classes names.txt";

}  // namespace

void AddDatasetImport(CLI::App* noun, Action* chosen) {
  CLI::App* app = noun->add_subcommand(
      "import", "Upload a dataset in a known layout or list");
  auto options = std::make_shared<ImportOptions>();
  app->add_option("path", options->path, "ROOT, list file or archive")
      ->required();
  app->add_option("--layout,-l", options->layout, "coop, csv, jsonl or tar")
      ->required()
      ->check(CLI::IsMember({"coop", "csv", "jsonl", "tar"}));
  app->add_option("--name,-n", options->coop_name,
                  "Which of CoOp's datasets (layout coop)");
  app->add_option("--as", options->as,
                  "Name on the server; from --name or the path by default");
  app->add_option("--classes", options->classes_file,
                  "Class names in label order, one a line, where labels are "
                  "numbers (csv, jsonl, tar)");
  app->add_flag("--skip-unreadable", options->skip_unreadable,
                "Leave out images that cannot be read, and report them; "
                "without it they stop the import");
  app->add_flag("--headers-only", options->headers_only,
                "Check images by their headers only: many times faster, "
                "damage inside the pixels shows later");
  app->footer(kFooter);
  app->callback([chosen, options] {
    *chosen = [options](Session& session) { return Import(session, *options); };
  });
}

}  // namespace promptd::client
