// Early return on absl::Status / absl::StatusOr.
//
//   RETURN_IF_ERROR(Flush());
//   ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(path));
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expr)                          \
  do {                                                 \
    ::absl::Status promptd_status_ = (expr);           \
    if (!promptd_status_.ok()) return promptd_status_; \
  } while (false)

#define PROMPTD_CONCAT_INNER(a, b) a##b
#define PROMPTD_CONCAT(a, b) PROMPTD_CONCAT_INNER(a, b)

#define ASSIGN_OR_RETURN(lhs, expr) \
  PROMPTD_ASSIGN_OR_RETURN(PROMPTD_CONCAT(promptd_or_, __LINE__), lhs, expr)

#define PROMPTD_ASSIGN_OR_RETURN(tmp, lhs, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return tmp.status();            \
  lhs = *std::move(tmp)
