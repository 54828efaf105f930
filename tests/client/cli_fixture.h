// Runs promptctl's command line against a FakeServer over a real channel.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "client/cli.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/client/fake_server.h"
#include "tests/testing/temp_dir.h"

namespace promptd::client {

class CliFixture : public ::testing::Test {
 protected:
  // The exit code; the streams are in out_ and err_.
  int Cli(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"-s", nowhere_ ? "127.0.0.1:1" : server_.address()});
    std::ostringstream out;
    std::ostringstream err;
    const ExitCode code = RunCli(arguments, out, err, {});
    out_ = out.str();
    err_ = err.str();
    return static_cast<int>(code);
  }
  nlohmann::json Json() const { return nlohmann::json::parse(out_); }
  std::string Path(const std::string& name) const {
    return folder_.path() + "/" + name;
  }
  promptd::testing::FakeState& state() { return server_.state(); }

  promptd::testing::TempDir folder_;
  promptd::testing::FakeServer server_;
  bool nowhere_ = false;  // talk to a port that refuses
  std::string out_;
  std::string err_;
};

}  // namespace promptd::client
