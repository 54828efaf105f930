// promptctl version interpret
#include <memory>
#include <string>
#include <vector>

#include "client/interpret_view.h"
#include "client/proto_json.h"
#include "client/selector.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/prompt.grpc.pb.h"

namespace promptd::client {
namespace {

struct InterpretFlags {
  std::string version;
  int top_k = 3;
  std::vector<std::string> classes;
};

absl::Status Interpret(Session& session, const InterpretFlags& flags) {
  ASSIGN_OR_RETURN(const TaskSelector selector,
                   ParseTaskSelector(flags.version));
  v1::InterpretVersionRequest request;
  SetSelector(selector, &request);
  request.set_top_k(flags.top_k);
  for (const std::string& name : flags.classes) request.add_class_names(name);
  ASSIGN_OR_RETURN(
      const v1::InterpretVersionResponse reply,
      session.api.Call(&v1::PromptService::Stub::InterpretVersion, request));
  if (session.console.json()) {
    session.console.Json(ToJson(reply));
  } else {
    session.console.out() << InterpretationTable(reply);
  }
  return absl::OkStatus();
}

}  // namespace

void AddVersionInterpret(CLI::App* noun, Action* chosen) {
  CLI::App* app = noun->add_subcommand(
      "interpret", "The words nearest to a version's context vectors");
  auto flags = std::make_shared<InterpretFlags>();
  app->add_option("version", flags->version, "TASK, TASK@ALIAS or TASK:VERSION")
      ->required();
  app->add_option("--top-k", flags->top_k, "Words of each vector")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app->add_option("--class", flags->classes,
                  "Of a class-specific context, only this class; repeat it "
                  "for more")
      ->allow_extra_args(false);
  app->footer(
      "Words come from the encoder's vocabulary, each with its Euclidean\n"
      "distance to the vector; \"pho-\" is a piece of a longer word. A\n"
      "learned vector lies between words: the nearest ones are often not\n"
      "meaningful (the paper on CoOp says so of its own), and distances say\n"
      "more than the words do.\n\n"
      "Examples:\n  promptctl version interpret pets:3\n"
      "  promptctl version interpret pets@production --top-k 5\n"
      "  promptctl version interpret birds:1 --class wren --class robin -o "
      "json");
  app->callback([chosen, flags] {
    *chosen = [flags](Session& session) { return Interpret(session, *flags); };
  });
}

}  // namespace promptd::client
