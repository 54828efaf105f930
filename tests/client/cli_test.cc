#include "client/cli.h"

#include <stdlib.h>

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  ExitCode code;
  std::string out;
  std::string err;
};

Outcome Cli(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const ExitCode code = RunCli(arguments, out, err, {});
  return {code, out.str(), err.str()};
}

TEST(CliTest, HelpAndVersionGoToTheResultStream) {
  const Outcome help = Cli({"--help"});
  EXPECT_EQ(help.code, ExitCode::kOk);
  for (const char* verb :
       {"demo", "status", "train", "eval", "evaluation", "classify", "embed",
        "dataset", "job", "task", "version", "alias", "encoder"}) {
    EXPECT_THAT(help.out, HasSubstr(verb));
  }
  EXPECT_EQ(Cli({"--version"}).out, "promptctl 0.1.0\n");
}

TEST(CliTest, EveryVerbExplainsItself) {
  const std::vector<std::vector<std::string>> verbs = {{"demo"},
                                                       {"status"},
                                                       {"train"},
                                                       {"eval"},
                                                       {"evaluation", "list"},
                                                       {"evaluation", "show"},
                                                       {"classify"},
                                                       {"embed", "image"},
                                                       {"embed", "text"},
                                                       {"dataset", "push"},
                                                       {"dataset", "list"},
                                                       {"dataset", "show"},
                                                       {"dataset", "delete"},
                                                       {"job", "list"},
                                                       {"job", "show"},
                                                       {"job", "watch"},
                                                       {"job", "cancel"},
                                                       {"job", "pause"},
                                                       {"job", "resume"},
                                                       {"job", "retry"},
                                                       {"job", "logs"},
                                                       {"task", "list"},
                                                       {"task", "show"},
                                                       {"version", "list"},
                                                       {"version", "show"},
                                                       {"version", "export"},
                                                       {"version", "import"},
                                                       {"version", "tag"},
                                                       {"version", "lineage"},
                                                       {"version", "derived"},
                                                       {"version", "delete"},
                                                       {"task", "delete"},
                                                       {"gc"},
                                                       {"task", "create"},
                                                       {"alias", "list"},
                                                       {"alias", "set"},
                                                       {"alias", "show"},
                                                       {"alias", "rollback"},
                                                       {"alias", "delete"},
                                                       {"alias", "history"},
                                                       {"encoder", "list"},
                                                       {"encoder", "show"},
                                                       {"encoder", "verify"},
                                                       {"encoder", "remove"}};
  for (std::vector<std::string> arguments : verbs) {
    const std::string name = arguments.back();
    arguments.push_back("--help");
    const Outcome outcome = Cli(arguments);
    EXPECT_EQ(outcome.code, ExitCode::kOk) << name;
    EXPECT_THAT(outcome.out, HasSubstr("--help")) << name;
    EXPECT_EQ(outcome.err, "") << name;
  }
}

TEST(CliTest, UsageErrorsExitWithTwo) {
  const std::vector<std::vector<std::string>> lines = {
      {},
      {"dataset"},
      {"dataset", "push"},
      {"job", "show", "seven"},
      {"job", "show", "-1"},
      {"--output", "xml", "status"},
      {"status", "--colour"},
      {"status", "extra"},
      {"classify", "a.jpg"},
      {"classify", "a.jpg", "--task", "pets", "--labels", "cat"},
      {"classify", "a.jpg", "--task", "pets:x"},
      {"classify", "a.jpg", "--task", "pets", "--template", "a {}"},
      {"classify", "--task", "pets"},
      {"embed", "image"},
      {"embed", "text"},
      {"embed", "text", "a", "--file", "x"},
      {"version", "export", "pets", "--out", "x"},
      {"train", "pets", "--shots", "many"},
      {"demo", "--seed", "2", "--seeds", "3"},
      {"--timeout", "soon", "status"},
      {"--timeout", "-3s", "status"}};
  for (const auto& line : lines) {
    const Outcome outcome = Cli(line);
    EXPECT_EQ(outcome.code, ExitCode::kUsage) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("error: "));
    EXPECT_THAT(outcome.err, HasSubstr("  fix   ")) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("  ref   USAGE"));
  }
}

TEST(CliTest, TyposGetTheNearestVerb) {
  EXPECT_THAT(Cli({"trian", "pets"}).err,
              HasSubstr("did you mean `promptctl train`?"));
  EXPECT_THAT(Cli({"dataset", "psh", "x"}).err,
              HasSubstr("did you mean `promptctl dataset push`?"));
  EXPECT_THAT(Cli({"-o", "json", "jobs"}).err,
              HasSubstr("did you mean `promptctl job`?"));
}

TEST(CliTest, GlobalFlagsStandBeforeOrAfterTheVerb) {
  // Port 1 refuses: the flags were understood when the address is in the text.
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{
           {"-s", "127.0.0.1:1", "job", "list"},
           {"job", "-s", "127.0.0.1:1", "list"},
           {"job", "list", "--server", "127.0.0.1:1"}}) {
    const Outcome outcome = Cli(line);
    EXPECT_EQ(outcome.code, ExitCode::kUnavailable) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("error: cannot reach 127.0.0.1:1 ("));
    EXPECT_THAT(outcome.err, HasSubstr("  fix   start it with `promptd`"));
  }
}

TEST(CliTest, AValueMayBeCalledLikeAVerb) {
  const Outcome outcome = Cli({"-s", "127.0.0.1:1", "task", "show", "train"});
  EXPECT_EQ(outcome.code, ExitCode::kUnavailable) << outcome.err;
}

TEST(CliTest, TheServerMayComeFromTheEnvironment) {
  ::setenv("PROMPTD_SERVER", "127.0.0.1:2", 1);
  const Outcome outcome = Cli({"status"});
  const Outcome flag = Cli({"status", "-s", "127.0.0.1:1"});
  ::unsetenv("PROMPTD_SERVER");
  EXPECT_THAT(outcome.err, HasSubstr("127.0.0.1:2"));
  EXPECT_THAT(flag.err, HasSubstr("127.0.0.1:1"));
}

TEST(CliTest, ErrorsAreJsonWhenResultsAre) {
  const Outcome outcome = Cli({"-o", "json", "status", "-s", "127.0.0.1:1"});
  const nlohmann::json json = nlohmann::json::parse(outcome.err);
  EXPECT_EQ(json["error"]["reason"], "SERVER_UNREACHABLE");
  EXPECT_EQ(json["error"]["exit_code"], 5);
}

TEST(CliTest, AMissingFolderIsNotFoundAndAnEmptyOneIsExplained) {
  const Outcome outcome = Cli({"dataset", "push", "/nowhere/pets"});
  EXPECT_EQ(outcome.code, ExitCode::kNotFound) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("/nowhere/pets"));
  EXPECT_THAT(outcome.err, HasSubstr("FOLDER_NOT_FOUND"));
}

}  // namespace
}  // namespace promptd::client
