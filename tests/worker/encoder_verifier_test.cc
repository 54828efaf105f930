// The self-test at load and on request, on a copy of the embedded encoder.
#include "worker/encoder_verifier.h"

#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clip/encoder.h"
#include "common/error.h"
#include "common/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"
#include "tests/worker/fake_control.h"
#include "weights/digest_record.h"
#include "weights/encoder_folder.h"
#include "weights/self_test.h"
#include "worker/local_worker.h"

namespace promptd::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Verification = absl::StatusOr<EncoderVerification>;

// A disk without space, also for root.
class NoFileMayGrow {
 public:
  NoFileMayGrow() : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none = {0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~NoFileMayGrow() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  NoFileMayGrow(const NoFileMayGrow&) = delete;
  NoFileMayGrow& operator=(const NoFileMayGrow&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class EncoderVerifierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* source = std::getenv("PROMPTD_SOURCE_DIR");
    std::filesystem::copy(
        std::string(source == nullptr ? "." : source) + "/models/embedded",
        folder_);
    digest_ = weights::HashEncoderFolder(folder_).value();
  }

  std::string SelfTestPath() const {
    return folder_ + "/" + weights::kSelfTestFile;
  }
  weights::SelfTest Stored() const {
    const auto test = weights::ReadSelfTest(folder_, digest_, 256);
    EXPECT_TRUE(test.ok() && test->has_value()) << test.status();
    return test->value();
  }
  absl::StatusOr<std::unique_ptr<LocalWorker>> Load() {
    LocalWorkerOptions options;
    options.encoder_dirs = {folder_};
    return LocalWorker::Create(options, &observer_);
  }
  std::unique_ptr<LocalWorker> MustLoad() {
    auto worker = Load();
    EXPECT_TRUE(worker.ok()) << worker.status();
    return worker.ok() ? *std::move(worker) : nullptr;
  }
  static Verification Verify(LocalWorker& worker, VerifyCall call) {
    absl::Notification answered;
    Verification result = absl::UnknownError("unanswered");
    worker.VerifyEncoder(std::move(call), [&](Verification outcome) {
      result = std::move(outcome);
      answered.Notify();
    });
    answered.WaitForNotification();
    return result;
  }
  VerifyCall Call() const {
    VerifyCall call;
    call.encoder_digest = digest_;
    return call;
  }

  // As a start long after the files were written leaves it.
  bool Record(const std::string& digest) const {
    std::vector<std::string> paths;
    for (const char* file :
         {weights::kEncoderConfigFile, weights::kEncoderMergesFile,
          weights::kEncoderWeightsFile}) {
      paths.push_back(folder_ + "/" + file);
    }
    return weights::RecordDigest(folder_, digest, paths,
                                 weights::FileMarks(paths),
                                 absl::Now() + absl::Minutes(1));
  }
  bool Recorded() const {
    return std::filesystem::exists(folder_ + "/" + weights::kDigestRecordFile);
  }
  // Whether a started worker stays ready for `time`.
  static bool StaysReady(const LocalWorker& worker, absl::Duration time) {
    const absl::Time end = absl::Now() + time;
    while (worker.Ready() && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    return worker.Ready();
  }

  testing::TempDir dir_;
  FakeControl control_;
  const std::string folder_ = dir_.path() + "/copy";
  std::string digest_;
  Observer observer_;
};

TEST_F(EncoderVerifierTest, PassesOpenClipsVectors) {
  const auto worker = MustLoad();
  ASSERT_NE(worker, nullptr);
  const Verification outcome = Verify(*worker, Call());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(outcome->passed);
  EXPECT_TRUE(outcome->files_unchanged);
  EXPECT_EQ(outcome->digest_on_disk, digest_);
  EXPECT_THAT(outcome->origin, HasSubstr("open_clip"));
  ASSERT_EQ(outcome->checks.size(), 2u);
  for (const auto& check : outcome->checks) EXPECT_TRUE(check.passed);
}

TEST_F(EncoderVerifierTest, TheFirstLoadMakesTheVectorsOfLaterOnes) {
  const weights::SelfTest open_clip = Stored();
  std::filesystem::remove(SelfTestPath());
  ASSERT_NE(MustLoad(), nullptr);
  const weights::SelfTest stored = Stored();
  EXPECT_THAT(stored.origin, HasSubstr("first load"));
  EXPECT_EQ(stored.encoder_digest, digest_);
  // They are the encoder's own, not something that is made up.
  for (size_t i = 0; i < stored.text_features.values.size(); ++i) {
    EXPECT_NEAR(stored.text_features.values[i],
                open_clip.text_features.values[i], 1e-3);
  }
  const std::string bytes = ReadFile(SelfTestPath(), 1 << 20).value();
  const auto again = MustLoad();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(ReadFile(SelfTestPath(), 1 << 20).value(), bytes);
  const Verification outcome = Verify(*again, Call());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->origin, stored.origin);
  EXPECT_TRUE(outcome->passed);
}

TEST_F(EncoderVerifierTest, AFolderThatCannotBeWrittenServesAllTheSame) {
  std::filesystem::remove(SelfTestPath());
  std::unique_ptr<LocalWorker> worker;
  {
    const NoFileMayGrow full_disk;
    worker = MustLoad();
  }
  ASSERT_NE(worker, nullptr);
  // Neither the file nor a piece of it.
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_THAT(entry.path().filename().string(),
                Not(HasSubstr(weights::kSelfTestFile)));
  }
  const Verification outcome = Verify(*worker, Call());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_TRUE(outcome->passed);
  EXPECT_THAT(outcome->origin, HasSubstr("this start"));
}

TEST_F(EncoderVerifierTest, OtherNumbersStopTheStart) {
  for (const bool texts : {false, true}) {
    weights::SelfTest wrong = Stored();
    (texts ? wrong.text_features : wrong.image_features).values[5] += 0.5f;
    ASSERT_TRUE(weights::WriteSelfTest(folder_, wrong).ok());
    const absl::Status status = Load().status();
    EXPECT_EQ(ErrorReason(status), "ENCODER_SELF_TEST_FAILED");
    const std::string message(status.message());
    EXPECT_THAT(message, HasSubstr("encoder copy"));
    EXPECT_THAT(message, HasSubstr(texts ? "text features" : "image features"));
    EXPECT_THAT(message, HasSubstr("at most 1e-04"));
    EXPECT_THAT(message, HasSubstr("open_clip"));
    EXPECT_THAT(message, HasSubstr("delete " + SelfTestPath()));
    std::filesystem::remove_all(folder_);
    SetUp();
  }
}

TEST_F(EncoderVerifierTest, ADamagedOrForeignSelfTestStopsTheStart) {
  weights::SelfTest foreign = Stored();
  foreign.encoder_digest = std::string(64, '0');
  ASSERT_TRUE(weights::WriteSelfTest(folder_, foreign).ok());
  EXPECT_EQ(ErrorReason(Load().status()), "SELF_TEST_MISMATCH");
  ASSERT_TRUE(WriteFileAtomically(SelfTestPath(), "words").ok());
  EXPECT_EQ(ErrorReason(Load().status()), "SELF_TEST_MALFORMED");
}

TEST_F(EncoderVerifierTest, AChangedByteOnDiskIsFound) {
  const auto worker = MustLoad();
  ASSERT_NE(worker, nullptr);
  const std::string path = folder_ + "/" + weights::kEncoderWeightsFile;
  std::string bytes = ReadFile(path, 1 << 30).value();
  bytes[bytes.size() - 1] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  Verification outcome = Verify(*worker, Call());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->passed);
  EXPECT_FALSE(outcome->files_unchanged);
  EXPECT_EQ(outcome->digest_on_disk,
            weights::HashEncoderFolder(folder_).value());
  // What is in memory is as it was.
  for (const auto& check : outcome->checks) EXPECT_TRUE(check.passed);

  std::filesystem::remove(path);
  outcome = Verify(*worker, Call());
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->passed);
  EXPECT_EQ(outcome->digest_on_disk, "");
}

TEST_F(EncoderVerifierTest, UnchangedFilesAreLookedAtOnceItServes) {
  ASSERT_TRUE(Record(digest_));
  const auto worker = MustLoad();
  ASSERT_NE(worker, nullptr);
  worker->Start(&control_);
  // Behind the verification of the start.
  EXPECT_TRUE(Verify(*worker, Call())->passed);
  EXPECT_TRUE(worker->Ready());
  EXPECT_TRUE(Recorded());
}

TEST_F(EncoderVerifierTest, OtherNumbersStopItSoonAfterATrustingStart) {
  weights::SelfTest wrong = Stored();
  wrong.text_features.values[5] += 0.5f;
  ASSERT_TRUE(weights::WriteSelfTest(folder_, wrong).ok());
  ASSERT_TRUE(Record(digest_));
  const auto worker = MustLoad();
  ASSERT_NE(worker, nullptr);
  worker->Start(&control_);
  EXPECT_FALSE(StaysReady(*worker, absl::Minutes(1)));
  EXPECT_FALSE(Recorded());
  EXPECT_EQ(ErrorReason(Load().status()), "ENCODER_SELF_TEST_FAILED");
}

TEST_F(EncoderVerifierTest, ARecordOfOtherFilesStopsItSoonAfterTheStart) {
  digest_ = std::string(64, 'd');
  ASSERT_TRUE(Record(digest_));
  std::filesystem::remove(SelfTestPath());
  const auto worker = MustLoad();
  ASSERT_NE(worker, nullptr);
  EXPECT_EQ(worker->Encoders().front().digest, digest_);
  worker->Start(&control_);
  EXPECT_FALSE(StaysReady(*worker, absl::Minutes(1)));
  EXPECT_FALSE(Recorded());
}

TEST_F(EncoderVerifierTest, CallsThatNobodyWantsEndWithTheReason) {
  const auto worker = MustLoad();
  ASSERT_NE(worker, nullptr);
  VerifyCall call = Call();
  call.encoder_digest = "unknown";
  EXPECT_EQ(ErrorReason(Verify(*worker, call).status()), "ENCODER_NOT_HELD");
  call = Call();
  call.deadline = absl::InfinitePast();
  EXPECT_EQ(ErrorReason(Verify(*worker, call).status()), "DEADLINE_EXPIRED");
  // The caller goes away while the files are read.
  call = Call();
  int asked = 0;
  call.cancelled = [&asked] { return ++asked > 4; };
  EXPECT_EQ(ErrorReason(Verify(*worker, call).status()), "CANCELLED");
  EXPECT_GT(asked, 4);
  worker->Stop(absl::InfinitePast());
  EXPECT_EQ(ErrorReason(Verify(*worker, Call()).status()), "SHUTTING_DOWN");
}

TEST_F(EncoderVerifierTest, AFullQueueAnswersAtOnceAndAllAreAnsweredOnce) {
  DeviceLoop loop;
  EncoderSet encoders;
  ASSERT_TRUE(loop.RunServing([&]() -> absl::Status {
                    auto loaded =
                        EncoderSet::Load({folder_}, clip::EncoderOptions());
                    if (!loaded.ok()) return loaded.status();
                    encoders = *std::move(loaded);
                    return encoders.PassSelfTests();
                  })
                  .ok());
  EncoderVerifier verifier(&encoders, &loop);
  absl::Notification release;
  ASSERT_TRUE(loop.PostServing([&] { release.WaitForNotification(); }));
  std::atomic<int> passed{0};
  std::atomic<int> full{0};
  int asked = 0;
  while (full == 0 && asked < 100) {
    ++asked;
    verifier.Verify(Call(), [&](const Verification& outcome) {
      if (outcome.ok() && outcome->passed) ++passed;
      if (ErrorReason(outcome.status()) == "QUEUE_FULL") ++full;
    });
  }
  EXPECT_EQ(full, 1);
  EXPECT_LT(asked, 100);
  EXPECT_EQ(passed, 0);
  release.Notify();
  while (passed < asked - 1) std::this_thread::yield();
  verifier.Stop();
  EXPECT_EQ(passed, asked - 1);
  EXPECT_EQ(full, 1);
}

}  // namespace
}  // namespace promptd::worker
