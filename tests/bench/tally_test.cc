#include "bench/load/tally.h"

#include <gtest/gtest.h>

namespace promptd::load {
namespace {

// A second of warm-up, then ten that are measured.
class TallyTest : public testing::Test {
 protected:
  TallyTest() : tally_(Pace(), 1) {}

  static const PaceOptions& Pace() {
    static const PaceOptions pace = [] {
      PaceOptions options;
      options.warmup = absl::Seconds(1);
      options.length = absl::Seconds(10);
      return options;
    }();
    return pace;
  }

  // `count` answers of an image each, a microsecond apart, as from a batch.
  void Answers(absl::Duration at, int count) {
    for (int i = 0; i < count; ++i) {
      const absl::Time now = tally_.start() + at + absl::Microseconds(i);
      tally_.Ended(tally_.start(), tally_.start(), grpc::Status::OK, 1, now);
    }
  }

  double ImagesPerSecond() const {
    return static_cast<double>(tally_.result().images) /
           absl::ToDoubleSeconds(tally_.result().images_time);
  }

  Tally tally_;
};

TEST_F(TallyTest, WholeBatchesAreCountedWhereverTheMeasuredTimeCutsThem) {
  // Batches of 16 every 1.3 s: 7 or 8 of them end within ten seconds.
  for (int batch = 1; batch <= 10; ++batch) {
    Answers(batch * absl::Milliseconds(1300), 16);
  }
  EXPECT_NEAR(ImagesPerSecond(), 16 / 1.3, 1e-4);
  EXPECT_EQ(tally_.result().images, 8 * 16);
  EXPECT_EQ(tally_.result().images_in_all, 10 * 16);
}

TEST_F(TallyTest, AServerThatStopsIsCountedUntilTheEnd) {
  Answers(absl::Seconds(1), 1);
  Answers(absl::Seconds(2), 5);
  EXPECT_EQ(tally_.result().images, 5);
  EXPECT_EQ(tally_.result().images_time, absl::Seconds(10));
}

TEST_F(TallyTest, AServerThatStallsOverTheEndIsCountedUntilItAnswers) {
  Answers(absl::Seconds(1), 1);
  Answers(absl::Seconds(2), 5);
  Answers(absl::Seconds(31), 5);
  EXPECT_EQ(tally_.result().images, 6);
  EXPECT_EQ(tally_.result().images_time, absl::Seconds(30));
}

TEST_F(TallyTest, AnswersOutsideTheMeasuredTimeGiveNoRate) {
  Answers(absl::Milliseconds(500), 3);
  Answers(absl::Seconds(12), 3);
  EXPECT_EQ(tally_.result().images, 0);
  EXPECT_EQ(tally_.result().images_in_all, 6);
}

}  // namespace
}  // namespace promptd::load
