#include "clip/torch_status.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "common/error.h"

namespace promptd::clip {
namespace {

template <typename Fn>
std::pair<absl::StatusCode, std::string> Caught(Fn fn) {
  const absl::Status status = Guarded("test", fn);
  return {status.code(), ErrorReason(status)};
}

using Pair = std::pair<absl::StatusCode, std::string>;

TEST(TorchStatusTest, MapsExceptionsToStatuses) {
  EXPECT_EQ(Caught([]() -> absl::Status { throw std::bad_alloc(); }),
            Pair(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY"));
  EXPECT_EQ(Caught([]() -> absl::Status {
              TORCH_CHECK_NOT_IMPLEMENTED(false, "no such operator");
              return absl::OkStatus();
            }),
            Pair(absl::StatusCode::kUnimplemented, "NOT_IMPLEMENTED"));
  EXPECT_EQ(Caught([]() -> absl::Status {
              TORCH_CHECK(false, "shapes differ");
              return absl::OkStatus();
            }),
            Pair(absl::StatusCode::kInternal, "TORCH_FAILED"));
  EXPECT_EQ(Caught([]() -> absl::Status {
              TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory");
              return absl::OkStatus();
            }),
            Pair(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY"));
  EXPECT_EQ(Caught([]() -> absl::Status { throw std::logic_error("x"); }),
            Pair(absl::StatusCode::kInternal, "TORCH_FAILED"));
}

TEST(TorchStatusTest, SendsNoBacktrace) {
  const absl::Status status = Guarded("encode", []() -> absl::Status {
    TORCH_CHECK(false, "shapes differ");
    return absl::OkStatus();
  });
  EXPECT_EQ(status.message(), "encode: shapes differ");
}

TEST(TorchStatusTest, PassesValuesAndStatusesThrough) {
  EXPECT_EQ(Guarded("test", [] { return 3; }).value(), 3);
  EXPECT_EQ(Guarded("test", []() -> absl::StatusOr<int> { return 4; }).value(),
            4);
  EXPECT_EQ(
      Guarded("test",
              []() -> absl::StatusOr<int> { return absl::NotFoundError("x"); })
          .status(),
      absl::NotFoundError("x"));
}

}  // namespace
}  // namespace promptd::clip
