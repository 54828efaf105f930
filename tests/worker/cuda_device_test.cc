// The CUDA part, compiled and linked against CUDA's runtime whatever the torch
// wheel holds. A machine without a device runs the answers of that runtime.
#include "worker/cuda_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.h"

namespace promptd::worker {
namespace {

TEST(CudaDeviceTest, IsTheCudaPart) { EXPECT_TRUE(BuiltWithCuda()); }

TEST(CudaDeviceTest, OpensEveryDeviceItCounts) {
  for (int index = 0; index < CountCudaDevices(); ++index) {
    const auto device = OpenCudaDevice(index);
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_EQ(device->name, "cuda:" + std::to_string(index));
    EXPECT_FALSE(device->model.empty());
    EXPECT_GT(device->memory_bytes, 0);
  }
}

TEST(CudaDeviceTest, ReportsWhatCudaSaysOfOneThatIsNotThere) {
  const auto device = OpenCudaDevice(CountCudaDevices());
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(ErrorReason(device.status()), "DEVICE_FAILED");
  EXPECT_THAT(device.status().message(), ::testing::HasSubstr("CUDA"));
}

}  // namespace
}  // namespace promptd::worker
