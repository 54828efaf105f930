#include "worker/admission.h"

#include <thread>

#include "common/error.h"
#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

TEST(AdmissionTest, BoundsImages) {
  Admission admission(2, 1000);
  EXPECT_EQ(ErrorReason(admission.Enter(3, 1)), "QUEUE_FULL");
  EXPECT_TRUE(admission.Enter(2, 1).ok());
  EXPECT_EQ(ErrorReason(admission.Enter(1, 1)), "QUEUE_FULL");
  admission.LeaveOne(1);
  EXPECT_TRUE(admission.Enter(1, 1).ok());
}

TEST(AdmissionTest, BoundsBytes) {
  Admission admission(10, 1000);
  EXPECT_TRUE(admission.Enter(1, 600).ok());
  const absl::Status full = admission.Enter(1, 401);
  EXPECT_EQ(ErrorReason(full), "QUEUE_FULL");
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(admission.Enter(1, 400).ok());
  admission.LeaveOne(600);
  EXPECT_TRUE(admission.Enter(1, 600).ok());
}

// Else it could never be answered.
TEST(AdmissionTest, OneCallIsLetInAloneHoweverLarge) {
  Admission admission(10, 1000);
  EXPECT_TRUE(admission.Enter(2, 5000).ok());
  EXPECT_EQ(ErrorReason(admission.Enter(1, 1)), "QUEUE_FULL");
}

TEST(AdmissionTest, ClosesOnceAllHaveLeft) {
  Admission admission(10, 1000);
  ASSERT_TRUE(admission.Enter(1, 1).ok());
  std::thread closing([&] { admission.Close(absl::InfinitePast()); });
  while (!admission.abandoned()) std::this_thread::yield();
  EXPECT_EQ(ErrorReason(admission.Enter(1, 1)), "SHUTTING_DOWN");
  admission.LeaveOne(1);
  closing.join();
  admission.Close(absl::InfinitePast());
}

}  // namespace
}  // namespace promptd::worker
