#include "bench/load/shared_slots.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace promptd::load {

absl::StatusOr<std::unique_ptr<SharedSlots>> SharedSlots::Create(
    int count, size_t slot_bytes) {
  std::string key = absl::StrCat("/promptd-load-", ::getpid());
  const auto failed = [&](const char* what) {
    return absl::UnavailableError(absl::StrCat(
        "shared memory ", key, ": ", what, ": ", std::strerror(errno)));
  };
  const auto slots = static_cast<size_t>(count);
  const size_t bytes = slots * slot_bytes;
  const int fd = ::shm_open(key.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return failed("cannot be made");
  // Takes the pages too, where writing would kill the process.
  const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
  void* data = MAP_FAILED;
  if (error == 0) {
    data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  } else {
    errno = error;
  }
  const int why = errno;
  ::close(fd);
  if (data == MAP_FAILED) {
    ::shm_unlink(key.c_str());
    errno = why;
    return failed("has no room");
  }
  return std::unique_ptr<SharedSlots>(new SharedSlots(
      std::move(key), static_cast<char*>(data), slots, slot_bytes));
}

SharedSlots::~SharedSlots() {
  ::munmap(data_, bytes());
  ::shm_unlink(key_.c_str());
}

SharedSlots::Slot SharedSlots::Next() {
  const size_t offset = next_ * slot_bytes_;
  const bool filled = all_filled_;
  next_ = (next_ + 1) % slots_;
  all_filled_ = all_filled_ || next_ == 0;
  return {data_ + offset, offset, filled};
}

}  // namespace promptd::load
