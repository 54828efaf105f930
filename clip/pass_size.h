// How many images an image tower takes at once.
#pragma once

#include <cstdint>

namespace promptd::clip {

// The largest such size that is at most `images`, which is at least 1: sizes
// are 1 to 8, then four for each doubling (10, 12, 14, 16, 20, 24, ...).
//
// oneDNN compiles every layer anew for every size that comes, a millisecond or
// more each, and keeps what it compiled, a fourth of a megabyte each: with
// every size that there is a server would pause and grow long after its start.
int64_t PassSize(int64_t images);

}  // namespace promptd::clip
