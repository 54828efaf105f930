// Shared memory that clients on this machine name instead of sending bytes: the
// Open Inference Protocol's extension "system_shared_memory".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace promptd::server {

// Bytes that copies may have, all together. Thread-safe.
class CopyBudget {
 public:
  explicit CopyBudget(int64_t bytes) : left_(bytes) {}
  // False, and nothing taken, if they are not left.
  bool Take(int64_t bytes) {
    if (left_.fetch_sub(bytes) >= bytes) return true;
    Give(bytes);
    return false;
  }
  void Give(int64_t bytes) { left_ += bytes; }

 private:
  std::atomic<int64_t> left_;
};

// Bytes that were copied; their memory is aligned for any number.
class OwnedBytes {
 public:
  // Gives back what was taken of `budget` for them.
  OwnedBytes(size_t size, std::shared_ptr<CopyBudget> budget)
      : size_(size),
        budget_(std::move(budget)),
        bytes_(std::make_unique_for_overwrite<char[]>(size)) {}
  ~OwnedBytes() {
    if (budget_ != nullptr) budget_->Give(static_cast<int64_t>(size_));
  }
  OwnedBytes(OwnedBytes&&) = default;
  OwnedBytes& operator=(OwnedBytes&&) = delete;

  char* data() { return bytes_.get(); }
  absl::string_view view() const { return {bytes_.get(), size_}; }

 private:
  size_t size_;
  std::shared_ptr<CopyBudget> budget_;  // null: moved away
  std::unique_ptr<char[]> bytes_;
};

// A part of a POSIX shared memory object. Its bytes are the client's, who may
// change or cut them at any time: they are copied in and out by calls of the
// system, never mapped, where a shorter object would kill the process.
// Immutable, hence thread-safe.
class SharedRegion {
 public:
  // `key` is the object's name, with or without "/" before it. INVALID_ARGUMENT
  // (BAD_SHARED_MEMORY) where there is none, or it ends before the region does.
  static absl::StatusOr<std::shared_ptr<const SharedRegion>> Open(
      const std::string& key, uint64_t offset, uint64_t bytes);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  const std::string& key() const { return key_; }
  uint64_t offset() const { return offset_; }
  uint64_t bytes() const { return bytes_; }

  // Whether the region has `size` bytes from `offset` on.
  bool Has(uint64_t offset, uint64_t size) const {
    return offset <= bytes_ && size <= bytes_ - offset;
  }
  // A part that it has, to or from `bytes`. FAILED_PRECONDITION
  // (SHARED_MEMORY_CUT) where the object is shorter by now, or cannot be
  // written.
  absl::Status Read(uint64_t offset, uint64_t size, char* bytes) const;
  absl::Status Write(uint64_t offset, absl::string_view bytes) const;

 private:
  SharedRegion(std::string key, uint64_t offset, uint64_t bytes, int fd)
      : key_(std::move(key)), offset_(offset), bytes_(bytes), fd_(fd) {}

  const std::string key_;
  const uint64_t offset_;
  const uint64_t bytes_;
  const int fd_;
};

// The regions that are registered, by tenant and name, each with a descriptor
// of its own, until they are unregistered or the process ends. Thread-safe.
class SharedRegions {
 public:
  using Region = std::shared_ptr<const SharedRegion>;

  SharedRegions(size_t most, int64_t max_copied_bytes)
      : most_(most), budget_(std::make_shared<CopyBudget>(max_copied_bytes)) {}

  // INVALID_ARGUMENT (BAD_SHARED_MEMORY) for a name of no or more than 1024
  // bytes; ALREADY_EXISTS (SHARED_MEMORY_EXISTS) for one that is taken;
  // RESOURCE_EXHAUSTED (TOO_MANY_SHARED_REGIONS); SharedRegion::Open.
  absl::Status Register(const std::string& tenant, const std::string& name,
                        const std::string& key, uint64_t offset,
                        uint64_t bytes);
  // An empty name: all of the tenant. One that is not there is no error, as
  // the protocol has it.
  void Unregister(const std::string& tenant, const std::string& name);

  // NOT_FOUND (SHARED_MEMORY_NOT_FOUND). Valid after Unregister() too.
  absl::StatusOr<Region> Find(const std::string& tenant,
                              const std::string& name) const;
  std::map<std::string, Region> OfTenant(const std::string& tenant) const;

  // A part that the region has. UNAVAILABLE (SHARED_MEMORY_BUSY) while there
  // are too many copies; SharedRegion::Read.
  absl::StatusOr<OwnedBytes> Copy(const SharedRegion& region, uint64_t offset,
                                  uint64_t size) const;

 private:
  const size_t most_;
  const std::shared_ptr<CopyBudget> budget_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::map<std::string, Region>> tenants_
      ABSL_GUARDED_BY(mutex_);
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace promptd::server
