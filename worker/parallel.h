// Runs independent pieces of work on a few threads that live for the call.
#pragma once

#include <cstddef>
#include <functional>

namespace promptd::worker {

// Calls fn(0) ... fn(count - 1), each once, on at most `threads` threads (the
// caller's is one of them), and returns when all have returned.
void ParallelFor(size_t count, int threads,
                 const std::function<void(size_t)>& fn);

}  // namespace promptd::worker
