// An inert reader of the pickles in checkpoints. No torch, no Python.
//
//   ASSIGN_OR_RETURN(const PickleDocument document,
//                    ReadPickle(bytes, "ViT-B-32.pt: archive/data.pkl"));
//
// A pickle is a program. This reader knows only the opcodes that make plain
// values (protocols 2 to 4) and only the globals of pickle_globals.h, each of
// which stands for a value here: nothing is imported, called or constructed,
// whatever the file says. Everything else is refused; there is no fallback.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weights/pickle_value.h"

namespace promptd::weights {

struct PickleLimits {
  int max_values = 500'000;
  int max_stack = 200'000;  // values and marks at once
  int max_memo = 500'000;
  int max_depth = 64;                            // containers within containers
  int64_t max_string_bytes = int64_t{16} << 20;  // all strings together
};

// `source` names the bytes in errors, which also name the offset and the
// opcode or global. INVALID_ARGUMENT, reason by rule: PICKLE_TRUNCATED,
// PICKLE_TRAILING_BYTES, PICKLE_BAD_PROTOCOL, PICKLE_FORBIDDEN_OPCODE,
// PICKLE_FORBIDDEN_GLOBAL, PICKLE_FORBIDDEN_CALL, PICKLE_BAD_STACK,
// PICKLE_BAD_MEMO, PICKLE_BAD_STORAGE, PICKLE_BAD_TENSOR, PICKLE_BAD_VALUE,
// PICKLE_CYCLE, PICKLE_TOO_DEEP, PICKLE_TOO_LARGE.
absl::StatusOr<PickleDocument> ReadPickle(absl::string_view bytes,
                                          absl::string_view source,
                                          const PickleLimits& limits = {});

}  // namespace promptd::weights
