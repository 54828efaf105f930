#include "server/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::server {
namespace {

constexpr auto kMostBytes =
    static_cast<uint64_t>(std::numeric_limits<int64_t>::max());

constexpr size_t kMostNameBytes = 1024;

absl::Status Bad(const std::string& key, const std::string& why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_SHARED_MEMORY",
                   absl::StrCat("shared memory \"", key, "\" ", why));
}

absl::Status Cut(const std::string& key, const std::string& why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "SHARED_MEMORY_CUT",
      absl::StrCat("shared memory \"", key, "\" ", why,
                   ": make it anew, unregister it and register it again"));
}

// Repeats `once(done)`, which moves bytes and says how many, until all are
// moved; what it said otherwise.
template <typename Once>
ssize_t MoveAll(uint64_t size, const Once& once) {
  uint64_t done = 0;
  while (done < size) {
    const ssize_t moved = once(done);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return moved;
    done += static_cast<uint64_t>(moved);
  }
  return 1;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SharedRegion>> SharedRegion::Open(
    const std::string& key, uint64_t offset, uint64_t bytes) {
  const std::string name = key.starts_with('/') ? key : "/" + key;
  if (name.size() < 2 || name.find('/', 1) != std::string::npos ||
      name.find('\0') != std::string::npos) {
    return Bad(key, "is no name of an object: give what shm_open takes");
  }
  if (bytes == 0 || offset > kMostBytes || bytes > kMostBytes - offset) {
    return Bad(key, "cannot have a region of this offset and size");
  }
  int fd = ::shm_open(name.c_str(), O_RDWR, 0);
  // Enough for inputs.
  if (fd < 0 && errno == EACCES) fd = ::shm_open(name.c_str(), O_RDONLY, 0);
  if (fd < 0) {
    return Bad(key, absl::StrCat("cannot be opened (", std::strerror(errno),
                                 "): make it on promptd's machine, readable "
                                 "for its user, before registering it"));
  }
  const auto region = std::shared_ptr<const SharedRegion>(
      new SharedRegion(key, offset, bytes, fd));
  struct stat info;
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Bad(key, "is not a shared memory object");
  }
  if (static_cast<uint64_t>(info.st_size) < offset + bytes) {
    return Bad(key, absl::StrCat("has ", info.st_size, " bytes, a region of ",
                                 bytes, " at ", offset, " ends behind them"));
  }
  return region;
}

SharedRegion::~SharedRegion() { ::close(fd_); }

absl::Status SharedRegion::Read(uint64_t offset, uint64_t size,
                                char* bytes) const {
  const ssize_t moved = MoveAll(size, [&](uint64_t done) {
    return ::pread(fd_, bytes + done, size - done,
                   static_cast<off_t>(offset_ + offset + done));
  });
  if (moved > 0) return absl::OkStatus();
  return Cut(key_, moved == 0 ? "is shorter than when it was registered"
                              : std::strerror(errno));
}

absl::Status SharedRegion::Write(uint64_t offset,
                                 absl::string_view bytes) const {
  const uint64_t end = offset_ + offset + bytes.size();
  struct stat info;
  // Writing would make it longer.
  if (::fstat(fd_, &info) != 0 || static_cast<uint64_t>(info.st_size) < end) {
    return Cut(key_, "is shorter than when it was registered");
  }
  const ssize_t moved = MoveAll(bytes.size(), [&](uint64_t done) {
    return ::pwrite(fd_, bytes.data() + done, bytes.size() - done,
                    static_cast<off_t>(offset_ + offset + done));
  });
  if (moved > 0) return absl::OkStatus();
  return Cut(key_, absl::StrCat("cannot be written (", std::strerror(errno),
                                "): promptd's user must be allowed to"));
}

absl::Status SharedRegions::Register(const std::string& tenant,
                                     const std::string& name,
                                     const std::string& key, uint64_t offset,
                                     uint64_t bytes) {
  if (name.empty() || name.size() > kMostNameBytes) {
    return Bad(key, absl::StrCat("needs a name for requests, of 1 to ",
                                 kMostNameBytes, " bytes"));
  }
  ASSIGN_OR_RETURN(Region region, SharedRegion::Open(key, offset, bytes));
  absl::MutexLock lock(&mutex_);
  std::map<std::string, Region>& regions = tenants_[tenant];
  if (regions.contains(name)) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, "SHARED_MEMORY_EXISTS",
        absl::StrCat("a region is registered as \"", name,
                     "\": unregister it first, or take another name"));
  }
  if (count_ >= most_) {
    if (regions.empty()) tenants_.erase(tenant);
    return MakeError(absl::StatusCode::kResourceExhausted,
                     "TOO_MANY_SHARED_REGIONS",
                     absl::StrCat(most_,
                                  " regions of shared memory are registered: "
                                  "unregister what is not used"));
  }
  regions.emplace(name, std::move(region));
  ++count_;
  return absl::OkStatus();
}

void SharedRegions::Unregister(const std::string& tenant,
                               const std::string& name) {
  std::map<std::string, Region> gone;  // closed without the lock
  absl::MutexLock lock(&mutex_);
  const auto owner = tenants_.find(tenant);
  if (owner == tenants_.end()) return;
  if (name.empty()) {
    gone.swap(owner->second);
  } else if (auto region = owner->second.extract(name); !region.empty()) {
    gone.insert(std::move(region));
  }
  count_ -= gone.size();
  if (owner->second.empty()) tenants_.erase(owner);
}

absl::StatusOr<SharedRegions::Region> SharedRegions::Find(
    const std::string& tenant, const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const auto owner = tenants_.find(tenant);
  if (owner != tenants_.end()) {
    const auto region = owner->second.find(name);
    if (region != owner->second.end()) return region->second;
  }
  return MakeError(
      absl::StatusCode::kNotFound, "SHARED_MEMORY_NOT_FOUND",
      absl::StrCat("no shared memory is registered as \"", name, "\""));
}

std::map<std::string, SharedRegions::Region> SharedRegions::OfTenant(
    const std::string& tenant) const {
  absl::MutexLock lock(&mutex_);
  const auto owner = tenants_.find(tenant);
  return owner == tenants_.end() ? std::map<std::string, Region>()
                                 : owner->second;
}

absl::StatusOr<OwnedBytes> SharedRegions::Copy(const SharedRegion& region,
                                               uint64_t offset,
                                               uint64_t size) const {
  if (!budget_->Take(static_cast<int64_t>(size))) {
    return MakeError(absl::StatusCode::kUnavailable, "SHARED_MEMORY_BUSY",
                     "too many inputs are copied from shared memory at once: "
                     "try again, with fewer requests under way");
  }
  OwnedBytes bytes(size, budget_);
  RETURN_IF_ERROR(region.Read(offset, size, bytes.data()));
  return bytes;
}

}  // namespace promptd::server
