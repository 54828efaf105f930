// Whose images the classifier takes next, and which calls it turns away.
#include <ATen/Parallel.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "tests/worker/worker_fixture.h"
#include "worker/classifier.h"
#include "worker/probes.h"
#include "worker/wait_scale.h"

namespace promptd::worker {
namespace {

class CountingObserver : public Observer {
 public:
  void OnBatch(int images, int /*heads*/) override {
    if (encoded == 0) first_batch = images;
    encoded += images;
  }
  void OnStage(Stage stage, absl::Duration) override {
    if (stage == Stage::kDecode) ++decoded;
  }
  void OnRejected(Rejection why) override {
    ++rejected[static_cast<size_t>(why)];
  }
  void OnGivenUp(Checkpoint where, bool expired) override {
    ++(expired ? gone_late : gone_away)[static_cast<size_t>(where)];
  }
  void OnQueued(int64_t images, int64_t bytes) override {
    queued_images += images;
    queued_bytes += bytes;
  }
  void OnTenantCost(const std::string& tenant, absl::Duration cost) override {
    absl::MutexLock lock(&mutex);
    costs[tenant] += cost;
  }

  std::atomic<int> first_batch = 0;  // its images
  std::atomic<int> encoded = 0;
  std::atomic<int> decoded = 0;
  std::atomic<int> rejected[kRejections] = {};
  std::atomic<int> gone_late[kCheckpoints] = {};
  std::atomic<int> gone_away[kCheckpoints] = {};
  std::atomic<int64_t> queued_images = 0;
  std::atomic<int64_t> queued_bytes = 0;
  absl::Mutex mutex;
  std::map<std::string, absl::Duration> costs;
};

class SchedulingTest : public WorkerFixture {
 protected:
  SchedulingTest() : image_(Image("jpeg_420.jpeg")) {
    auto encoders = EncoderSet::Load({SourceDir() + "/models/embedded"},
                                     clip::EncoderOptions());
    EXPECT_TRUE(encoders.ok()) << encoders.status();
    encoders_ = *std::move(encoders);
    digest_ = encoders_.digests()[0];
  }

  void Start(const ClassifierOptions& options) {
    const auto read_blob = [this](const std::string& digest) {
      return control_.GetBlob(digest);
    };
    tuned_ = std::make_unique<TunedEncoders>(1, &encoders_, &loop_, read_blob);
    classifier_ = std::make_unique<Classifier>(options, tuned_.get(), &times_,
                                               &loop_, &counts_, read_blob);
  }

  // Embeds, uncached.
  ClassifyCall Call(const std::string& tenant, int images) {
    ClassifyCall call;
    call.tenant = tenant;
    call.encoder_digest = digest_;
    call.embed = true;
    call.no_cache = true;
    call.images.assign(static_cast<size_t>(images), image_);
    return call;
  }

  struct Answer {
    absl::Notification here;
    absl::Status status;
    int order = 0;  // of arrival, from 1
  };
  std::unique_ptr<Answer> Send(ClassifyCall call) {
    auto answer = std::make_unique<Answer>();
    classifier_->Classify(std::move(call),
                          [this, to = answer.get()](const auto& outcome) {
                            to->status = outcome.status();
                            to->order = ++answered_;
                            to->here.Notify();
                          });
    return answer;
  }
  // So many calls of one image.
  std::vector<std::unique_ptr<Answer>> SendEach(const std::string& tenant,
                                                int calls) {
    std::vector<std::unique_ptr<Answer>> answers;
    for (int i = 0; i < calls; ++i) answers.push_back(Send(Call(tenant, 1)));
    return answers;
  }
  absl::Status StatusOf(ClassifyCall call) {
    const auto answer = Send(std::move(call));
    answer->here.WaitForNotification();
    return answer->status;
  }
  // Until Release() no batch runs.
  void HoldDevice() {
    loop_.PostServing([this] {
      held_.Notify();
      release_.WaitForNotification();
    });
    held_.WaitForNotification();
  }

  // Until the calls that were sent, of one image each, wait for the device.
  void AwaitDecoded() {
    // The one decode thread takes it behind them.
    ClassifyCall last = Call("t", 1);
    last.images[0] = "not an image";
    const auto behind = Send(last);
    behind->here.WaitForNotification();
  }

  const std::string image_;
  EncoderSet encoders_;
  std::string digest_;
  CountingObserver counts_;
  BatchTimes times_;
  DeviceLoop loop_;
  absl::Notification held_, release_;
  std::atomic<int> answered_ = 0;
  std::unique_ptr<TunedEncoders> tuned_;
  std::unique_ptr<Classifier> classifier_;
};

TEST_F(SchedulingTest, AFloodDoesNotHoldUpAnotherTenant) {
  ClassifierOptions options;
  options.max_batch = 4;
  Start(options);
  HoldDevice();
  const auto flood = SendEach("flood", 60);
  const auto other = Send(Call("other", 1));
  release_.Notify();
  other->here.WaitForNotification();
  for (const auto& answer : flood) answer->here.WaitForNotification();
  EXPECT_TRUE(other->status.ok()) << other->status;
  // Eight of the flood were decoded before it, and a batch of four may have
  // been taken while it was decoded.
  EXPECT_LE(other->order, 16);
  absl::MutexLock lock(&counts_.mutex);
  EXPECT_GT(counts_.costs.at("flood"), counts_.costs.at("other"));
}

TEST_F(SchedulingTest, ALargeCallDoesNotHoldUpASmallOneOfItsTenant) {
  ClassifierOptions options;
  options.max_batch = 4;
  Start(options);
  HoldDevice();
  const auto large = Send(Call("t", 200));
  const auto small = Send(Call("t", 1));
  release_.Notify();
  small->here.WaitForNotification();
  large->here.WaitForNotification();
  EXPECT_LT(small->order, large->order);
}

TEST_F(SchedulingTest, WhatCannotBeAnsweredInTimeIsTurnedAwayAtOnce) {
  Start({});
  times_.Measured(digest_, 1, absl::Hours(1));
  ClassifyCall call = Call("t", 1);
  call.deadline = absl::Now() + absl::Minutes(30);
  const absl::Status refused = StatusOf(call);
  EXPECT_EQ(refused.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ErrorReason(refused), "DEADLINE_UNMEETABLE");
  EXPECT_EQ(counts_.encoded, 0);
  EXPECT_EQ(counts_.rejected[static_cast<size_t>(Rejection::kDeadline)], 1);
  // Without a deadline it is computed; what is cached needs no time.
  ClassifyCall patient = Call("t", 1);
  patient.no_cache = false;
  EXPECT_TRUE(StatusOf(patient).ok());
  patient.deadline = absl::Now() + absl::Minutes(30);
  times_.Measured(digest_, 1, absl::Hours(2));
  EXPECT_TRUE(StatusOf(patient).ok());
  EXPECT_EQ(counts_.encoded, 1);
}

// A measurement from a bad moment must not turn everybody away for ever.
TEST(ProbesTest, OneIsDueWhenNothingWasMeasuredForAWhile) {
  Probes probes;
  const absl::Time start = absl::Now();
  EXPECT_FALSE(probes.Due(start));
  const absl::Time later = start + 2 * Probes::kInterval;
  EXPECT_TRUE(probes.Due(later));
  EXPECT_FALSE(probes.Due(later));
  EXPECT_TRUE(probes.Due(later + Probes::kInterval));
  probes.Measured(later + 2 * Probes::kInterval);
  EXPECT_FALSE(probes.Due(later + 2 * Probes::kInterval));
}

TEST(WaitScaleTest, FollowsAHighQuantile) {
  WaitScale scale;
  // Of ratios from 1 to 3.
  for (int i = 0; i < 200'000; ++i) {
    scale.Observed(absl::Milliseconds(100),
                   absl::Milliseconds(100) * (1 + 2e-3 * (i * 37 % 1000)));
  }
  EXPECT_NEAR(scale.Get(), 1 + 2 * WaitScale::kShare, 0.1);
  // And back; what was predicted to be short says nothing.
  for (int i = 0; i < 100'000; ++i) {
    scale.Observed(absl::Milliseconds(100), absl::Milliseconds(50));
    scale.Observed(absl::Milliseconds(1), absl::Milliseconds(50));
  }
  EXPECT_EQ(scale.Get(), 1);
  for (int i = 0; i < 1000; ++i) {
    scale.Observed(absl::Milliseconds(100), absl::Hours(1));
  }
  EXPECT_EQ(scale.Get(), WaitScale::kMost);
}

// Each lane answers what it has encoded: here, two answers wait for each other.
TEST_F(SchedulingTest, AnAnswerDoesNotHoldUpTheOtherLane) {
  at::set_num_threads(2);
  ClassifierOptions options;
  options.lanes = 2;
  Start(options);
  HoldDevice();
  absl::Notification answered[2];
  absl::BlockingCounter left(2);
  for (const int i : {0, 1}) {
    classifier_->Classify(
        Call("t", 1), [&, i](const absl::StatusOr<ClassifyOutcome>& outcome) {
          EXPECT_TRUE(outcome.ok()) << outcome.status();
          if (outcome.ok()) {
            EXPECT_EQ(outcome->images[0].batch_size, 1);
          }
          answered[i].Notify();
          EXPECT_TRUE(answered[1 - i].WaitForNotificationWithTimeout(
              absl::Seconds(30)));
          left.DecrementCount();
        });
  }
  AwaitDecoded();
  release_.Notify();
  left.Wait();
}

// A lane takes as long for its part as all lanes together for all parts.
TEST_F(SchedulingTest, ABatchOfALaneCountsForTheWholeDevice) {
  ClassifierOptions options;
  options.lanes = 2;
  Start(options);
  HoldDevice();
  const auto answers = SendEach("t", 4);
  AwaitDecoded();
  release_.Notify();
  for (const auto& answer : answers) {
    answer->here.WaitForNotification();
    EXPECT_TRUE(answer->status.ok()) << answer->status;
  }
  EXPECT_EQ(counts_.first_batch, 2);
  EXPECT_GT(times_.Of(digest_, 4), absl::ZeroDuration());
  EXPECT_EQ(times_.Of(digest_, 4), times_.Of(digest_, 2));
}

// An image whose batch would end too late is not encoded.
TEST_F(SchedulingTest, ABatchLeavesOutWhatWouldBeTooLate) {
  Start({});
  HoldDevice();
  times_.Measured(digest_, 1, absl::Milliseconds(1));
  ClassifyCall call = Call("t", 1);
  call.deadline = absl::Now() + absl::Minutes(1);
  const auto late = Send(call);
  const auto patient = Send(Call("t", 1));
  while (counts_.decoded < 2) absl::SleepFor(absl::Milliseconds(1));
  // Meanwhile the device has become slow.
  for (int i = 0; i < 50; ++i) times_.Measured(digest_, 1, absl::Hours(1));
  release_.Notify();
  late->here.WaitForNotification();
  patient->here.WaitForNotification();
  EXPECT_EQ(ErrorReason(late->status), "DEADLINE_EXPIRED");
  EXPECT_TRUE(patient->status.ok()) << patient->status;
  EXPECT_EQ(counts_.encoded, 1);
  EXPECT_EQ(counts_.gone_late[static_cast<size_t>(Checkpoint::kEncode)], 1);
}

TEST_F(SchedulingTest, TheWaitOfACallGrowsWithWhatIsAheadOfIt) {
  ClassifierOptions options;
  options.max_batch = 1;
  Start(options);
  times_.Measured(digest_, 1, absl::Minutes(1));
  HoldDevice();
  const auto ahead = Send(Call("t", 10));
  ClassifyCall call = Call("t", 1);
  call.deadline = absl::Now() + absl::Minutes(5);
  EXPECT_EQ(ErrorReason(StatusOf(call)), "DEADLINE_UNMEETABLE");
  // Another tenant comes between.
  call.tenant = "other";
  const auto between = Send(call);
  release_.Notify();
  between->here.WaitForNotification();
  EXPECT_TRUE(between->status.ok()) << between->status;
  ahead->here.WaitForNotification();
}

TEST_F(SchedulingTest, BatchesStayWithinTheirTime) {
  ClassifierOptions options;
  options.max_batch = 32;
  options.max_batch_time = absl::Seconds(1);
  Start(options);
  times_.Measured(digest_, 1, absl::Milliseconds(400));
  HoldDevice();
  const auto call = Send(Call("t", 8));
  release_.Notify();
  call->here.WaitForNotification();
  // Later ones follow what this one took.
  EXPECT_LE(counts_.first_batch, 2);
}

TEST_F(SchedulingTest, ATenantHasAQuota) {
  ClassifierOptions options;
  options.max_queued_images_of_tenant = 2;
  options.max_queued_images = 3;
  Start(options);
  HoldDevice();
  const auto first = Send(Call("t", 2));
  EXPECT_EQ(ErrorReason(StatusOf(Call("t", 1))), "TENANT_QUOTA");
  const auto second = Send(Call("u", 1));
  const absl::Status full = StatusOf(Call("v", 1));
  EXPECT_EQ(ErrorReason(full), "QUEUE_FULL");
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(counts_.queued_images, 3);
  release_.Notify();
  first->here.WaitForNotification();
  second->here.WaitForNotification();
  classifier_->Stop(absl::InfiniteFuture());
  EXPECT_EQ(ErrorReason(StatusOf(Call("t", 1))), "SHUTTING_DOWN");
  for (const Rejection why :
       {Rejection::kTenantQuota, Rejection::kQueueFull, Rejection::kDraining}) {
    EXPECT_EQ(counts_.rejected[static_cast<size_t>(why)], 1);
  }
  EXPECT_EQ(counts_.queued_images, 0);
  EXPECT_EQ(counts_.queued_bytes, 0);
}

TEST_F(SchedulingTest, WhatNobodyWaitsForIsDroppedWhereItIsSeen) {
  Start({});
  HoldDevice();
  std::atomic<bool> gone = false;
  ClassifyCall leaving = Call("t", 1);
  leaving.cancelled = [&gone] { return gone.load(); };
  const auto left = Send(leaving);
  ClassifyCall late = Call("t", 1);
  late.deadline = absl::Now() + absl::Milliseconds(50);
  const auto expired = Send(late);
  while (absl::Now() < late.deadline) absl::SleepFor(absl::Milliseconds(1));
  gone = true;
  release_.Notify();
  left->here.WaitForNotification();
  expired->here.WaitForNotification();
  EXPECT_EQ(left->status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(ErrorReason(expired->status), "DEADLINE_EXPIRED");
  EXPECT_EQ(counts_.encoded, 0);
  int late_ones = 0, away = 0;
  for (int i = 0; i < kCheckpoints; ++i) {
    late_ones += counts_.gone_late[i];
    away += counts_.gone_away[i];
  }
  EXPECT_EQ(late_ones, 1);
  EXPECT_EQ(away, 1);
}

}  // namespace
}  // namespace promptd::worker
