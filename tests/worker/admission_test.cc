#include "worker/admission.h"

#include <thread>

#include "common/error.h"
#include "gtest/gtest.h"

namespace promptd::worker {
namespace {

TEST(AdmissionTest, BoundsImages) {
  Admission admission(2, 1000, 10);
  EXPECT_EQ(ErrorReason(admission.Enter("t", 3, 1)), "QUEUE_FULL");
  EXPECT_TRUE(admission.Enter("t", 2, 1).ok());
  EXPECT_EQ(ErrorReason(admission.Enter("t", 1, 1)), "QUEUE_FULL");
  admission.LeaveOne("t", 1);
  EXPECT_TRUE(admission.Enter("t", 1, 1).ok());
}

TEST(AdmissionTest, BoundsBytes) {
  Admission admission(10, 1000, 10);
  EXPECT_TRUE(admission.Enter("t", 1, 600).ok());
  const absl::Status full = admission.Enter("t", 1, 401);
  EXPECT_EQ(ErrorReason(full), "QUEUE_FULL");
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(admission.Enter("t", 1, 400).ok());
  admission.LeaveOne("t", 600);
  EXPECT_TRUE(admission.Enter("t", 1, 600).ok());
}

// Else it could never be answered.
TEST(AdmissionTest, OneCallIsLetInAloneHoweverLarge) {
  Admission admission(10, 1000, 10);
  EXPECT_TRUE(admission.Enter("t", 2, 5000).ok());
  EXPECT_EQ(ErrorReason(admission.Enter("t", 1, 1)), "QUEUE_FULL");
}

TEST(AdmissionTest, BoundsImagesOfATenant) {
  Admission admission(10, 1000, 2);
  EXPECT_TRUE(admission.Enter("a", 2, 1).ok());
  const absl::Status refused = admission.Enter("a", 1, 1);
  EXPECT_EQ(ErrorReason(refused), "TENANT_QUOTA");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(admission.Enter("b", 1, 1).ok());
  admission.LeaveOne("a", 1);
  EXPECT_TRUE(admission.Enter("a", 1, 1).ok());
}

TEST(AdmissionTest, ClosesOnceAllHaveLeft) {
  Admission admission(10, 1000, 10);
  ASSERT_TRUE(admission.Enter("t", 1, 1).ok());
  std::thread closing([&] { admission.Close(absl::InfinitePast()); });
  while (!admission.abandoned()) std::this_thread::yield();
  EXPECT_EQ(ErrorReason(admission.Enter("t", 1, 1)), "SHUTTING_DOWN");
  admission.LeaveOne("t", 1);
  closing.join();
  admission.Close(absl::InfinitePast());
}

}  // namespace
}  // namespace promptd::worker
