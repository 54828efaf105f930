#include "clip/torch_status.h"

#include <c10/util/Exception.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"

namespace promptd::clip {
namespace {

absl::Status Report(absl::StatusCode code, absl::string_view reason,
                    absl::string_view what, absl::string_view message,
                    absl::string_view whole) {
  spdlog::error("{}: {}", std::string(what), std::string(whole));
  return MakeError(code, reason, absl::StrCat(what, ": ", message));
}

}  // namespace

absl::Status StatusOfException(absl::string_view what) {
  using absl::StatusCode;
  try {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    return Report(StatusCode::kResourceExhausted, "OUT_OF_MEMORY", what,
                  error.what_without_backtrace(), error.what());
  } catch (const c10::NotImplementedError& error) {
    return Report(StatusCode::kUnimplemented, "NOT_IMPLEMENTED", what,
                  error.what_without_backtrace(), error.what());
  } catch (const c10::AcceleratorError& error) {
    return Report(StatusCode::kUnavailable, "DEVICE_FAILED", what,
                  error.what_without_backtrace(), error.what());
  } catch (const c10::Error& error) {
    // The processor's allocator has no exception type of its own.
    if (absl::StrContains(error.what_without_backtrace(),
                          "DefaultCPUAllocator")) {
      return Report(StatusCode::kResourceExhausted, "OUT_OF_MEMORY", what,
                    error.what_without_backtrace(), error.what());
    }
    return Report(StatusCode::kInternal, "TORCH_FAILED", what,
                  error.what_without_backtrace(), error.what());
  } catch (const std::bad_alloc& error) {
    return Report(StatusCode::kResourceExhausted, "OUT_OF_MEMORY", what,
                  "out of memory: use smaller batches or free memory",
                  error.what());
  } catch (const std::exception& error) {
    return Report(StatusCode::kInternal, "TORCH_FAILED", what, error.what(),
                  error.what());
  }
}

}  // namespace promptd::clip
