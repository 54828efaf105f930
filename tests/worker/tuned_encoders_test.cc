#include "worker/tuned_encoders.h"

#include <cstdlib>
#include <map>
#include <thread>

#include "clip/encoder.h"
#include "clip/trainable_image_tower.h"
#include "common/error.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/tensor_blob.h"

namespace promptd::worker {
namespace {

using ::testing::HasSubstr;

class TunedEncodersTest : public ::testing::Test {
 protected:
  TunedEncodersTest() {
    const char* source = std::getenv("PROMPTD_SOURCE_DIR");
    const std::string folder =
        std::string(source == nullptr ? "." : source) + "/models/embedded";
    const absl::Status loaded = loop_.RunServing([&]() -> absl::Status {
      auto set = EncoderSet::Load({folder}, {});
      if (!set.ok()) return set.status();
      encoders_ = *std::move(set);
      return absl::OkStatus();
    });
    EXPECT_TRUE(loaded.ok()) << loaded;
    digest_ = encoders_.digests()[0];
  }

  // Stores a tower whose weights are `factor` times the encoder's; its digest.
  std::string AddTower(float factor) {
    auto tower =
        clip::TrainableImageTower::Load(*encoders_.OpenFolder(digest_), "cpu");
    auto tensors = (*tower)->Tensors();
    for (float& value : tensors["visual.conv1.weight"].values) value *= factor;
    const std::string bytes = *SerializeTensors(tensors);
    bytes_ = static_cast<int64_t>(bytes.size());
    const std::string digest = Sha256Hex(bytes);
    blobs_[digest] = bytes;
    return digest;
  }

  TunedEncoders Make(int64_t max_bytes) {
    return TunedEncoders(
        max_bytes, &encoders_, &loop_,
        [this](const std::string& digest) -> absl::StatusOr<std::string> {
          ++reads_;
          const auto found = blobs_.find(digest);
          if (found == blobs_.end()) {
            return MakeError(absl::StatusCode::kNotFound, "BLOB_NOT_FOUND",
                             "no such blob");
          }
          return found->second;
        });
  }

  DeviceLoop loop_;
  EncoderSet encoders_;
  std::string digest_;
  std::map<std::string, std::string> blobs_;
  int64_t bytes_ = 0;  // of one tower
  std::atomic<int> reads_ = 0;
};

TEST_F(TunedEncodersTest, WithoutATowerItIsTheEncoderThatIsHeld) {
  TunedEncoders tuned = Make(1);
  EXPECT_EQ(tuned.Find(digest_, "").value(), encoders_.Find(digest_).value());
  EXPECT_EQ(ErrorReason(tuned.Find("other", "").status()), "ENCODER_NOT_HELD");
  EXPECT_EQ(reads_, 0);
}

TEST_F(TunedEncodersTest, ATowerIsLoadedOnceWhoeverAsks) {
  const std::string tower = AddTower(2);
  TunedEncoders tuned = Make(1 << 30);
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<const clip::Encoder>> found(4);
  for (auto& one : found) {
    threads.emplace_back([&] { one = tuned.Find(digest_, tower).value(); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reads_, 1);
  for (const auto& one : found) EXPECT_EQ(one, found[0]);
  EXPECT_NE(found[0]->digest(), digest_);
  EXPECT_EQ(tuned.bytes(), bytes_);
  // Another tower makes another encoder.
  EXPECT_NE(tuned.Find(digest_, AddTower(3)).value()->digest(),
            found[0]->digest());
}

TEST_F(TunedEncodersTest, TheLeastRecentlyUsedGoesFirst) {
  const std::string a = AddTower(2);
  const std::string b = AddTower(3);
  const std::string c = AddTower(4);
  TunedEncoders tuned = Make(2 * bytes_);
  const auto kept = tuned.Find(digest_, b).value();
  ASSERT_TRUE(tuned.Find(digest_, a).ok());
  ASSERT_TRUE(tuned.Find(digest_, b).ok());
  ASSERT_TRUE(tuned.Find(digest_, c).ok());  // a goes
  EXPECT_EQ(reads_, 3);
  EXPECT_EQ(tuned.bytes(), 2 * bytes_);
  EXPECT_EQ(tuned.Find(digest_, b).value(), kept);
  EXPECT_EQ(reads_, 3);
  ASSERT_TRUE(tuned.Find(digest_, a).ok());
  EXPECT_EQ(reads_, 4);
  // One that alone is too large serves all the same.
  TunedEncoders small = Make(1);
  ASSERT_TRUE(small.Find(digest_, a).ok());
  EXPECT_EQ(small.bytes(), bytes_);
}

TEST_F(TunedEncodersTest, WhatCannotBeLoadedIsNamed) {
  TunedEncoders tuned = Make(1 << 30);
  EXPECT_EQ(ErrorReason(tuned.Find(digest_, "gone").status()),
            "BLOB_NOT_FOUND");
  blobs_["no file"] = "bytes";
  blobs_["no tower"] =
      *SerializeTensor("visual.conv1.weight", FloatTensor{{1}, {1}});
  for (const char* const name : {"no file", "no tower"}) {
    const absl::Status status = tuned.Find(digest_, name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(ErrorReason(status), "BLOB_CORRUPT");
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
  EXPECT_EQ(tuned.bytes(), 0);
  const std::string tower = AddTower(2);
  loop_.Stop();
  EXPECT_EQ(ErrorReason(tuned.Find(digest_, tower).status()), "SHUTTING_DOWN");
}

}  // namespace
}  // namespace promptd::worker
