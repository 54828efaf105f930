// promptctl: the command line of promptd.
#include <iostream>
#include <string>
#include <vector>

#include "client/cli.h"
#include "client/interrupt.h"

int main(int argc, char** argv) {
  const promptd::client::InterruptWatcher watcher;
  return static_cast<int>(promptd::client::RunCli(
      std::vector<std::string>(argv + 1, argv + argc), std::cout, std::cerr,
      promptd::client::DetectConsole()));
}
