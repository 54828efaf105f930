// How a tenant ranks its own calls.
#pragma once

namespace promptd::worker {

enum class Priority { kHigh, kNormal, kLow };
inline constexpr int kPriorities = 3;

}  // namespace promptd::worker
