#include "common/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace promptd {
namespace {

constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
constexpr int kCollapse = 25;  // MADV_COLLAPSE; glibc 2.36 does not name it

}  // namespace

void PreferHugePages(const void* begin, size_t bytes) {
  const auto first = reinterpret_cast<uintptr_t>(begin);
  // One by one: where one is refused, because what it lies in begins or ends
  // inside of it, the next may not be.
  for (uintptr_t page = first & ~(kHugePage - 1); page < first + bytes;
       page += kHugePage) {
    (void)::madvise(reinterpret_cast<void*>(page), kHugePage, kCollapse);
  }
}

}  // namespace promptd
