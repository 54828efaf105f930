// Remembers the digest of files that have not changed since it was computed,
// so that large encoders need not be hashed at every start. As git's index: a
// file is taken as unchanged when device, inode, size, time of modification
// and time of change are what they were. No torch.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace promptd::weights {

inline constexpr char kDigestRecordFile[] = "digest.json";

// One text a file, equal as long as nobody touches the file. Empty where a
// file cannot be looked at.
std::vector<std::string> FileMarks(const std::vector<std::string>& paths);

// The digest recorded in `folder` for files with these marks, or nothing: no
// record, other marks, or one that cannot be read.
std::optional<std::string> RecordedDigest(
    const std::string& folder, const std::vector<std::string>& marks);

// Records it, complete or not at all; whether it did, since a record only saves
// time. `marks` were taken before the files were read. Files that were changed
// since, or within the last two seconds as of `now`, are not recorded: a change
// in the same tick of the clock would go unseen.
bool RecordDigest(const std::string& folder, const std::string& digest,
                  const std::vector<std::string>& paths,
                  const std::vector<std::string>& marks, absl::Time now);

// Removes the record, if there is one.
void ForgetDigest(const std::string& folder);

}  // namespace promptd::weights
