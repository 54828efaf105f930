// Exceptions of LibTorch become statuses here, and only at the public
// functions of clip/ and learners/.
//
//   absl::StatusOr<FloatTensor> Encoder::EncodeImages(...) const {
//     return Guarded("encode images", [&] { return Compute(...); });
//   }
#pragma once

#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace promptd::clip {

// The status of the exception being handled; call inside a catch block only.
// Out of memory -> RESOURCE_EXHAUSTED (OUT_OF_MEMORY); c10::NotImplementedError
// -> UNIMPLEMENTED (NOT_IMPLEMENTED); c10::AcceleratorError -> UNAVAILABLE
// (DEVICE_FAILED); others -> INTERNAL (TORCH_FAILED): inputs were checked at
// the door, so it is our defect. Logs the whole text, sends it without the
// backtrace.
absl::Status StatusOfException(absl::string_view what);

namespace internal {

template <typename T>
struct GuardedResult {
  using type = absl::StatusOr<T>;
};
template <typename T>
struct GuardedResult<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};
template <>
struct GuardedResult<absl::Status> {
  using type = absl::Status;
};

}  // namespace internal

// Runs fn, which gives a T, an absl::StatusOr<T> or an absl::Status; returns
// that as a status or StatusOr. `what` says what was being done.
template <typename Fn>
typename internal::GuardedResult<std::invoke_result_t<Fn>>::type Guarded(
    absl::string_view what, Fn&& fn) {
  try {
    return std::forward<Fn>(fn)();
  } catch (...) {
    return StatusOfException(what);
  }
}

}  // namespace promptd::clip
