// What a run found, for programs and for people.
#pragma once

#include <string>

#include "bench/load/options.h"
#include "bench/load/run_load.h"

namespace promptd::load {

// One JSON object; times in milliseconds.
std::string JsonReport(const Options& options, const LoadResult& result);

// One line.
std::string ReadableReport(const Options& options, const LoadResult& result);

}  // namespace promptd::load
