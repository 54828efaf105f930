// PROMPTD_CHECK(condition): aborts with file and line when a programmer's
// assumption is broken. Never for request data, files or SQL rows.
#pragma once

#include <cstdio>
#include <cstdlib>

#define PROMPTD_CHECK(condition)                                            \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, \
                   #condition);                                             \
      std::abort();                                                         \
    }                                                                       \
  } while (false)
