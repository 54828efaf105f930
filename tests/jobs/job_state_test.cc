#include "jobs/job_state.h"

#include <set>
#include <utility>

#include "gtest/gtest.h"

namespace promptd::jobs {
namespace {

using enum JobState;

// The table of the design, written a second time and in another form.
const std::set<std::pair<JobState, JobState>>& LegalMoves() {
  static const auto* const moves = new std::set<std::pair<JobState, JobState>>{
      {kQueued, kRunning},    {kQueued, kPaused},   {kQueued, kFailed},
      {kQueued, kCancelled},  {kRunning, kQueued},  {kRunning, kPaused},
      {kRunning, kSucceeded}, {kRunning, kFailed},  {kRunning, kCancelled},
      {kPaused, kQueued},     {kPaused, kCancelled}};
  return *moves;
}

TEST(JobStateTest, ExactlyTheMovesOfTheTableAreLegal) {
  for (const JobState from : kAllJobStates) {
    for (const JobState to : kAllJobStates) {
      EXPECT_EQ(MayMove(from, to), LegalMoves().count({from, to}) == 1)
          << JobStateName(from) << " to " << JobStateName(to);
    }
  }
}

TEST(JobStateTest, TerminalStatesAreThoseWithoutAWayOut) {
  for (const JobState from : kAllJobStates) {
    bool way_out = false;
    for (const JobState to : kAllJobStates) way_out |= MayMove(from, to);
    EXPECT_EQ(IsTerminal(from), !way_out) << JobStateName(from);
  }
}

TEST(JobStateTest, NamesRoundTrip) {
  for (const JobState state : kAllJobStates) {
    EXPECT_EQ(ParseJobState(JobStateName(state)), state);
  }
  EXPECT_EQ(ParseJobState("Queued"), std::nullopt);
  EXPECT_EQ(ParseJobState(""), std::nullopt);
}

}  // namespace
}  // namespace promptd::jobs
