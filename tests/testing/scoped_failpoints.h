// Failpoints for the length of a test's block.
//
//   testing::ScopedFailpoints fail("blob.write=error(ENOSPC)@3");
//   ... expect the refusal ...
//   EXPECT_EQ(fail.fired("blob.write"), 1);
#pragma once

#include <string>

#include "common/check.h"
#include "common/failpoint.h"

namespace promptd::testing {

class ScopedFailpoints {
 public:
  explicit ScopedFailpoints(const std::string& text) {
    PROMPTD_CHECK(ArmFailpoints(text).ok());
  }
  ~ScopedFailpoints() { DisarmFailpoints(); }
  ScopedFailpoints(const ScopedFailpoints&) = delete;
  ScopedFailpoints& operator=(const ScopedFailpoints&) = delete;

  int64_t passed(const std::string& point) const {
    return CountFailpoint(point).passed;
  }
  int64_t fired(const std::string& point) const {
    return CountFailpoint(point).fired;
  }
};

}  // namespace promptd::testing
