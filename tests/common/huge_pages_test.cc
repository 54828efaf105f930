#include "common/huge_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace promptd {
namespace {

constexpr size_t kMapped = size_t{8} << 20;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kPlaces = 3;
constexpr int kCollapse = 25;  // MADV_COLLAPSE

class HugePagesTest : public ::testing::Test {
 protected:
  HugePagesTest()
      : begin_(
            static_cast<char*>(::mmap(nullptr, kMapped, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    // By small pages, also where others are made huge at once.
    ::madvise(begin_, kMapped, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < kMapped; ++i) begin_[i] = ByteAt(i);
    ::madvise(begin_, kMapped, MADV_HUGEPAGE);
  }
  ~HugePagesTest() override { ::munmap(begin_, kMapped); }

  static char ByteAt(size_t i) { return static_cast<char>(i * 131 >> 7); }
  bool Unchanged() const {
    for (size_t i = 0; i < kMapped; ++i) {
      if (begin_[i] != ByteAt(i)) return false;
    }
    return true;
  }
  // The first places of the mapping where huge pages can be, as many as the
  // tests look at, in a mapping of their own: the kernel may meanwhile make
  // huge pages of whatever else is there (khugepaged).
  char* SetPlacesApart() {
    const auto at = reinterpret_cast<uintptr_t>(begin_) + kHugePage - 1;
    auto* const places = reinterpret_cast<char*>(at & ~(kHugePage - 1));
    EXPECT_EQ(::madvise(places, kPlaces * kHugePage, MADV_DONTDUMP), 0);
    return places;
  }
  // Bytes in huge pages of the mapping that begins there.
  static size_t Huge(const char* begin) {
    const std::string start =
        absl::StrFormat("%x-", reinterpret_cast<uintptr_t>(begin));
    std::ifstream maps("/proc/self/smaps");
    std::string line;
    bool here = false;
    while (std::getline(maps, line)) {
      if (absl::StrContains(line, "-") && !absl::StrContains(line, ":  ")) {
        here = absl::StartsWith(line, start);
      }
      if (!here || !absl::StartsWith(line, "AnonHugePages:")) continue;
      const std::vector<std::string> words =
          absl::StrSplit(line, ' ', absl::SkipEmpty());
      size_t kilobytes = 0;
      EXPECT_TRUE(absl::SimpleAtoi(words[1], &kilobytes));
      return kilobytes << 10;
    }
    ADD_FAILURE() << "no mapping at " << start;
    return 0;
  }

  char* const begin_;
};

TEST_F(HugePagesTest, BytesStayWhatTheyAre) {
  char* const places = SetPlacesApart();
  const bool can = ::madvise(places, kHugePage, kCollapse) == 0;
  // From the middle of one page to the middle of the next but one.
  PreferHugePages(places + kHugePage / 2, 2 * kHugePage);
  EXPECT_TRUE(Unchanged());
  if (can) {
    EXPECT_EQ(Huge(places), kPlaces * kHugePage);
  }
}

// What lies around the bytes may end in the middle of a page, or be nothing.
TEST_F(HugePagesTest, WhereThereIsNoRoomNothingHappens) {
  PreferHugePages(begin_ + 100, 1000);
  PreferHugePages(begin_, kMapped);
  EXPECT_TRUE(Unchanged());
  PreferHugePages(begin_, 0);
  PreferHugePages(nullptr, 0);
  const int64_t local = 7;
  PreferHugePages(&local, sizeof(local));
  EXPECT_EQ(local, 7);
}

}  // namespace
}  // namespace promptd
