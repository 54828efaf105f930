// The command line: global flags, verbs, help, and one run.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "client/console.h"
#include "client/exit_code.h"

namespace promptd::client {

// Runs `arguments` (without the program's name). Results go to `out`,
// messages and errors to `err`; `detected` says what the terminal can do. Reads
// the environment (PROMPTD_SERVER). Never throws.
ExitCode RunCli(const std::vector<std::string>& arguments, std::ostream& out,
                std::ostream& err, const ConsoleOptions& detected);

}  // namespace promptd::client
