// A job that is paused and resumed at random steps publishes the bytes of one
// that never was.
#include <cstdlib>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "tests/worker/worker_fixture.h"

namespace promptd::worker {
namespace {

// Pauses in all; PROMPTD_PAUSES asks for more.
int Pauses() {
  const char* text = std::getenv("PROMPTD_PAUSES");
  return text == nullptr ? 6 : std::atoi(text);
}

class PauseResumeTest : public WorkerFixture {
 protected:
  std::string ContextOf(int64_t job) {
    const auto prompt = control_.published(job);
    return prompt.has_value() ? prompt->context_digest : "none";
  }

  // Pauses at the `units`-th checkpoint from now on, each of a unit of
  // training.
  void PauseAfter(int units) {
    control_.SetDirective(Directive::kContinue);
    auto left = std::make_shared<int>(units);
    control_.OnCheckpoint([this, left](int) {
      if (--*left == 0) control_.SetDirective(Directive::kPause);
    });
  }

  // Runs the job through pauses to its end; how many there were.
  int RunWithPauses(const TrainingSpec& spec, std::mt19937* random,
                    const std::string& whole) {
    std::string checkpoint;
    for (int pauses = 0;; ++pauses) {
      PauseAfter(std::uniform_int_distribution<int>(1, 6)(*random));
      const int64_t job = control_.Enqueue(spec, checkpoint);
      const std::string end = control_.WaitForEnd(job);
      if (end == "paused") {
        checkpoint = control_.last_checkpoint();
        EXPECT_NE(checkpoint, "");
        continue;
      }
      EXPECT_EQ(end, "published");
      EXPECT_EQ(ContextOf(job), whole) << "after " << pauses << " pauses";
      return pauses;
    }
  }
};

TEST_F(PauseResumeTest, PausesAtRandomStepsChangeNoByte) {
  const unsigned seed = std::random_device()();
  RecordProperty("seed", static_cast<int>(seed & 0x7fffffff));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  LocalWorkerOptions options;
  options.heartbeat_interval = absl::Milliseconds(1);
  options.checkpoint_interval = absl::ZeroDuration();
  const auto worker = StartWorker(options);
  ASSERT_NE(worker, nullptr);
  TrainingSpec spec = AddDataset(*worker);
  spec.text_templates = {"a photo of a {}."};
  int pauses = 0;
  const int wanted = Pauses();
  for (int round = 0; pauses < wanted && round < 10 * wanted; ++round) {
    spec.seed = 1 + round;
    spec.method = round % 3 == 2 ? "text_transform" : "coop";
    control_.SetDirective(Directive::kContinue);
    control_.OnCheckpoint(nullptr);
    const int64_t uninterrupted = control_.Enqueue(spec);
    ASSERT_EQ(control_.WaitForEnd(uninterrupted), "published");
    pauses += RunWithPauses(spec, &random, ContextOf(uninterrupted));
    if (HasFailure()) return;
  }
  EXPECT_GE(pauses, wanted);
}

}  // namespace
}  // namespace promptd::worker
