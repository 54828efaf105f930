// Shared memory from which a server on this machine reads inputs.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace promptd::load {

// A POSIX shared memory object of this process in slots of equal size, which
// are filled in turn: a slot is written again once all others were. Gone with
// the object. Thread-compatible.
class SharedSlots {
 public:
  // UNAVAILABLE where the machine has no room.
  static absl::StatusOr<std::unique_ptr<SharedSlots>> Create(int count,
                                                             size_t slot_bytes);
  ~SharedSlots();
  SharedSlots(const SharedSlots&) = delete;
  SharedSlots& operator=(const SharedSlots&) = delete;

  // By which shm_open finds it; the name of the registered region too.
  const std::string& key() const { return key_; }
  size_t bytes() const { return slots_ * slot_bytes_; }

  struct Slot {
    char* data;
    size_t offset;  // in the object
    bool filled;    // it was had before
  };
  Slot Next();

 private:
  SharedSlots(std::string key, char* data, size_t slots, size_t slot_bytes)
      : key_(std::move(key)),
        data_(data),
        slots_(slots),
        slot_bytes_(slot_bytes) {}

  const std::string key_;
  char* const data_;
  const size_t slots_;
  const size_t slot_bytes_;
  size_t next_ = 0;
  bool all_filled_ = false;
};

}  // namespace promptd::load
