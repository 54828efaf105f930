// promptctl demo: the main job end to end on bundled images.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/console.h"
#include "common/clock.h"

namespace promptd::client {

struct DemoOptions {
  std::string task;     // bundled task; empty: the default one
  std::string promptd;  // path of the server; empty: found
  std::string keep;     // folder for data and log; empty: temporary
  int shots = 16;
  int seed = 1;   // with `seeds` 0
  int seeds = 0;  // K: repeat over the seeds 1..K and report the mean
};

// Starts a promptd of its own, pushes, trains, publishes, classifies, reads
// /metrics, stops it, and writes one last line to the result stream:
// "demo: OK zero-shot <a>% learned <b>% (+<d>) job <t>s" or "demo: FAILED
// <why>". Not OK when a step fails or the learned prompt is no better than the
// best zero-shot template (NO_GAIN). No process and no temporary folder is
// left, whatever happens.
absl::Status RunDemo(Console& console, const Clock& clock,
                     const DemoOptions& options);

}  // namespace promptd::client
