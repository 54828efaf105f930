// promptctl demo
#include <memory>

#include "client/demo.h"
#include "client/verbs.h"

namespace promptd::client {

void AddDemoVerb(CLI::App& app, Action* chosen) {
  CLI::App* demo = app.add_subcommand(
      "demo", "Start a promptd of its own and show the whole job end to end");
  auto options = std::make_shared<DemoOptions>();
  demo->add_option("--task", options->task,
                   "A bundled task (the one that models/tasks/DEFAULT names)");
  demo->add_option("--shots", options->shots, "Images per class")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  CLI::Option* seed =
      demo->add_option("--seed", options->seed, "Seed of the training")
          ->capture_default_str()
          ->check(CLI::NonNegativeNumber);
  demo->add_option("--seeds", options->seeds,
                   "Train with the seeds 1..K and report the mean")
      ->check(CLI::PositiveNumber)
      ->excludes(seed);
  demo->add_option("--keep", options->keep,
                   "Keep the server's data and log in this folder");
  demo->add_option("--promptd", options->promptd,
                   "The server's executable (beside promptctl, or on PATH)");
  demo->footer(
      "Nothing is left behind: no process, and no folder unless --keep is "
      "given.\n\nExamples:\n  promptctl demo\n  promptctl demo --seeds 3");
  demo->callback([chosen, options] {
    *chosen = [options](Session& session) {
      return RunDemo(session.console, session.clock, *options);
    };
  });
}

}  // namespace promptd::client
