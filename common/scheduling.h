// Who runs first when all cores are busy: threads that take and answer calls
// have little to do and somebody waits for each; threads that compute have
// much.
#pragma once

namespace promptd {

// Lets this thread, and those that it starts, run as soon as they have
// something to do: the kernel is asked for the shortest time slice, with which
// a thread that wakes does not wait until the slice of one that computes is
// over (up to a tick, 4 ms). Linux 6.12 and later; others keep their own order.
void AnswerPromptly();

// For a thread that computes, or writes what nobody waits for: lets those that
// answer go first. It, and those that it starts, get a third of the processor
// time of one that does not yield, when both want it, in slices of the usual
// length.
void YieldToAnswering();

}  // namespace promptd
