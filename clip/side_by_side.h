// Pieces of one computation side by side, each on a thread of its own.
//
// When all threads share every operator, they wait for each other at the end of
// each, hundreds of times a batch, and one that lost its core for a moment
// holds up all. Pieces that need nothing of each other wait once.
#pragma once

#include <cstdint>

#include <functional>

#include "absl/functional/function_ref.h"

namespace promptd::clip {

// Whether so many equal pieces keep so many threads, more than one, busy all
// but a fifth of the time. Otherwise they had better share every operator.
bool KeepBusy(int64_t threads, int64_t pieces);

// Calls piece(0) ... piece(count - 1), each once, without gradients, and
// returns when all have returned. They run on threads that live as long as the
// process, as many as an operator had at the first call (at::get_num_threads),
// and whose operators use one thread each. Rethrows what a piece threw, the
// first by number. Thread-safe; not from within a piece.
//
// The first call starts the threads, and for a moment new threads would get one
// thread an operator: a program calls it before others compute, from a thread
// that does not yield to those that answer (common/scheduling.h), as these do.
void RunSideBySide(int64_t count, absl::FunctionRef<void(int64_t)> piece);

// Has `work` run once on one of those threads, as a piece does, and returns
// before it has. It must not throw. For as many at a time as there are threads.
void RunAside(std::function<void()> work);

}  // namespace promptd::clip
