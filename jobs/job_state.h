// The six states of a training job and the moves between them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace promptd::jobs {

enum class JobState {
  kQueued,     // waits for a worker, perhaps until a later time
  kRunning,    // one worker holds its lease
  kPaused,     // waits for a person; keeps its checkpoint
  kSucceeded,  // published one version
  kFailed,     // ended with a reason
  kCancelled,  // ended by a person
};

inline constexpr size_t kJobStateCount = 6;
inline constexpr std::array<JobState, kJobStateCount> kAllJobStates = {
    JobState::kQueued,    JobState::kRunning, JobState::kPaused,
    JobState::kSucceeded, JobState::kFailed,  JobState::kCancelled};

// kMoves[from][to]. Terminal states have no way out.
inline constexpr std::array<std::array<bool, kJobStateCount>, kJobStateCount>
    kMoves = {{
        // queued running paused succeeded failed cancelled
        {{false, true, true, false, true, true}},      // queued
        {{true, false, true, true, true, true}},       // running
        {{true, false, false, false, false, true}},    // paused
        {{false, false, false, false, false, false}},  // succeeded
        {{false, false, false, false, false, false}},  // failed
        {{false, false, false, false, false, false}},  // cancelled
    }};

constexpr bool MayMove(JobState from, JobState to) {
  return kMoves[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

constexpr bool IsTerminal(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed ||
         state == JobState::kCancelled;
}

// "queued", "running", ...: the stored form.
absl::string_view JobStateName(JobState state);
std::optional<JobState> ParseJobState(absl::string_view name);

}  // namespace promptd::jobs
