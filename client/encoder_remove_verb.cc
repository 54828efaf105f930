// promptctl encoder remove
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/encoder_remove.h"
#include "client/table.h"
#include "client/verbs.h"
#include "common/status_macros.h"

namespace promptd::client {
namespace {

absl::Status Remove(Session& session, const EncoderRemoval& removal) {
  ASSIGN_OR_RETURN(const RemovalReport report,
                   RemoveEncoder(session.api, removal));
  Console& console = session.console;
  if (!report.tasks_checked.ok()) {
    console.Warn(absl::StrCat("tasks were not checked: ",
                              std::string(report.tasks_checked.message())));
  }
  if (!report.tasks.empty()) {
    console.Warn(absl::StrCat(
        "without their encoder: ", absl::StrJoin(report.tasks, ", "),
        "; import the same checkpoint again to bring them back"));
  }
  if (console.json()) {
    console.Json({{"name", removal.name},
                  {"digest", report.digest},
                  {"folder", report.folder},
                  {"tasks", report.tasks},
                  {"tasks_checked", report.tasks_checked.ok()}});
    return absl::OkStatus();
  }
  console.out() << KeyValues(
      {{"removed", removal.name},
       {"digest", report.digest.empty() ? "unknown" : report.digest},
       {"folder", report.folder}});
  console.Note("a promptd that has loaded it keeps it until its next start.");
  return absl::OkStatus();
}

}  // namespace

void AddEncoderRemove(CLI::App* noun, Action* chosen) {
  CLI::App* verb = noun->add_subcommand(
      "remove", "Delete an imported encoder on this machine");
  auto removal = std::make_shared<EncoderRemoval>();
  verb->add_option("name", removal->name, "The encoder's name")->required();
  verb->add_option("--data-dir", removal->data_dir,
                   "promptd's data folder on this machine "
                   "(~/.local/share/promptd)")
      ->envname("PROMPTD_DATA_DIR");
  verb->add_flag("--force", removal->force,
                 "Even if tasks use it, or no promptd answers to tell");
  verb->footer(
      "The promptd at --server is asked for tasks that use it.\n"
      "Example:\n  promptctl encoder remove vit-b-32");
  verb->callback([chosen, removal] {
    *chosen = [removal](Session& session) { return Remove(session, *removal); };
  });
}

}  // namespace promptd::client
