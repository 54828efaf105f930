// Process-wide settings of the compute library, made once.
#pragma once

namespace promptd::worker {

struct ComputeOptions {
  // Threads of one operator (intra-op). 0: one per core this process may use.
  int threads = 0;
};

// Sets intra-op threads and a single inter-op thread. Call once,
// from main, before any encoder is loaded; later calls change nothing.
// Returns the number of intra-op threads in force.
int ConfigureCompute(const ComputeOptions& options);

// Cores this process may run on (its affinity mask).
int UsableCores();

}  // namespace promptd::worker
