// The priority of a classify request.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "promptd/v1/classify.pb.h"
#include "worker/priority.h"

namespace promptd::server {

// Adds a violation for a number that this server does not know.
inline void CheckPriority(v1::Priority asked,
                          std::vector<FieldViolation>* violations) {
  if (v1::Priority_IsValid(asked)) return;
  violations->push_back(
      {"priority", absl::StrCat("is ", static_cast<int>(asked),
                                ", which this server does not know: use high, "
                                "normal or low")});
}

// Normal unless another one was asked for.
inline worker::Priority PriorityOf(v1::Priority asked) {
  switch (asked) {
    case v1::PRIORITY_HIGH:
      return worker::Priority::kHigh;
    case v1::PRIORITY_LOW:
      return worker::Priority::kLow;
    default:
      return worker::Priority::kNormal;
  }
}

}  // namespace promptd::server
