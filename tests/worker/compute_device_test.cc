#include "worker/compute_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"
#include "worker/cuda_device.h"

namespace promptd::worker {
namespace {

TEST(ComputeDeviceTest, TheProcessorIsAlwaysThere) {
  const auto device = FindComputeDevice("cpu");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->name, "cpu");
}

TEST(ComputeDeviceTest, AutoTakesTheFirstCudaDeviceOrElseTheProcessor) {
  const auto device = FindComputeDevice("auto");
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->name, CountCudaDevices() > 0 ? "cuda:0" : "cpu");
}

TEST(ComputeDeviceTest, RefusesADeviceThatIsNotThere) {
  for (const char* name : {"", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1x",
                           "cuda:128", "cuda:99999999999999999999", "cpu:0"}) {
    const auto device = FindComputeDevice(name);
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_EQ(ErrorReason(device.status()), "NO_SUCH_DEVICE") << name;
    EXPECT_EQ(device.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ComputeDeviceTest, SaysWhatToDoWithoutCuda) {
  if (BuiltWithCuda()) return;
  const auto device = FindComputeDevice("cuda");
  ASSERT_FALSE(device.ok());
  EXPECT_THAT(device.status().message(),
              ::testing::HasSubstr("PROMPTD_TORCH=cuda"));
}

}  // namespace
}  // namespace promptd::worker
