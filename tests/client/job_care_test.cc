// promptctl job pause|resume|retry|logs, and how train queues.
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "promptd/v1/training.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;

class JobCareTest : public CliFixture {
 protected:
  JobCareTest() {
    v1::TrainingJob job;
    job.set_id(1);
    job.set_state(v1::JOB_STATE_RUNNING);
    job.set_last_sequence(3);
    job.mutable_spec()->set_task("pets");
    state().jobs = {job};
    // One more comes after the job was read.
    for (int i = 1; i <= 4; ++i) {
      v1::JobEvent& event = state().events.emplace_back();
      event.set_sequence(i);
      event.set_state(v1::JOB_STATE_RUNNING);
      event.mutable_time()->set_seconds(1772366400 + i);
    }
    state().events[0].set_state(v1::JOB_STATE_QUEUED);
    state().events[0].set_message("queued");
    v1::JobProgress& progress = *state().events[2].mutable_progress();
    progress.set_phase("train");
    progress.set_epoch(3);
    progress.set_epochs(50);
    progress.set_loss(0.3125);
    progress.set_accuracy(0.81);
  }
};

TEST_F(JobCareTest, PausesAndResumes) {
  ASSERT_EQ(Cli({"job", "pause", "1"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("paused"));
  ASSERT_EQ(Cli({"job", "resume", "1", "-o", "json"}), 0) << err_;
  EXPECT_EQ(Json()["state"], "queued");
  EXPECT_EQ(Cli({"job", "pause", "7"}), 3);
}

TEST_F(JobCareTest, ARetryIsSentOnceAndSaysWhatItMade) {
  ASSERT_EQ(Cli({"job", "retry", "1", "--from-start"}), 0) << err_;
  EXPECT_TRUE(state().retried.at(0).from_start());
  EXPECT_NE(state().retried.at(0).request_id(), "");
  EXPECT_THAT(err_, HasSubstr("promptctl job watch 2"));
}

TEST_F(JobCareTest, ACancelMayWaitForACheckpoint) {
  ASSERT_EQ(Cli({"job", "cancel", "1"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("cancelled"));
  EXPECT_FALSE(state().cancelled.at(0).after_checkpoint());
  ASSERT_EQ(Cli({"job", "cancel", "1", "--after-checkpoint"}), 0) << err_;
  EXPECT_EQ(state().cancelled.at(1).id(), 1);
  EXPECT_TRUE(state().cancelled.at(1).after_checkpoint());
  EXPECT_EQ(Cli({"job", "cancel", "7"}), 3);
  EXPECT_EQ(Cli({"job", "cancel", "0"}), 2);
}

TEST_F(JobCareTest, CheckpointsAreATableOrJson) {
  v1::Checkpoint& checkpoint = *state().checkpoints.add_checkpoints();
  checkpoint.set_number(3);
  checkpoint.set_epoch(12);
  checkpoint.set_step(36);
  checkpoint.mutable_created()->set_seconds(1772366400);
  checkpoint.set_digest(std::string(64, 'c'));
  ASSERT_EQ(Cli({"job", "checkpoints", "1"}), 0) << err_;
  const std::vector<std::string> lines =
      absl::StrSplit(out_, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u) << out_;
  EXPECT_THAT(lines[0], HasSubstr("NUMBER"));
  EXPECT_THAT(lines[1], HasSubstr("12"));
  EXPECT_THAT(lines[1], HasSubstr("36"));
  ASSERT_EQ(Cli({"job", "checkpoints", "1", "-o", "json"}), 0) << err_;
  EXPECT_EQ(Json()[0]["number"], 3);
  EXPECT_EQ(Json()[0]["step"], 36);
  EXPECT_EQ(Json()[0]["digest"], std::string(64, 'c'));
  EXPECT_EQ(Cli({"job", "checkpoints", "7"}), 3);
}

TEST_F(JobCareTest, TrainingStartsFromACheckpoint) {
  ASSERT_EQ(
      Cli({"train", "pets", "--init-checkpoint", "42:3", "--epochs", "0"}), 0)
      << err_;
  const v1::TrainingSpec& spec = state().created.at(0).spec();
  EXPECT_EQ(spec.initial_checkpoint().job(), 42);
  EXPECT_EQ(spec.initial_checkpoint().number(), 3);
  EXPECT_TRUE(spec.has_epochs());
  EXPECT_EQ(spec.epochs(), 0);
  ASSERT_EQ(Cli({"train", "pets", "--init-checkpoint", "42"}), 0) << err_;
  EXPECT_EQ(state().created.at(1).spec().initial_checkpoint().number(), 0);
  ASSERT_EQ(Cli({"job", "show", "1"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("from checkpoint 0 of job 42"));
  for (const char* bad : {"pets:3", "42:", "42:0", "0", "42:3:1", "-1"}) {
    EXPECT_EQ(Cli({"train", "pets", std::string("--init-checkpoint=") + bad}),
              2)
        << bad;
  }
  EXPECT_EQ(Cli({"train", "pets", "--init-checkpoint", "42", "--from", "pets"}),
            2);
  EXPECT_EQ(Cli({"train", "pets", "--init-checkpoint", "42", "--init", "a"}),
            2);
  EXPECT_EQ(state().created.size(), 2u);
}

TEST_F(JobCareTest, LogsAreTheEventsThatThereAreOneALine) {
  ASSERT_EQ(Cli({"job", "logs", "1"}), 0) << err_;
  const std::vector<std::string> lines =
      absl::StrSplit(out_, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u) << out_;
  EXPECT_EQ(lines[0], "1  2026-03-01T12:00:01Z  queued  queued");
  EXPECT_EQ(lines[2],
            "3  2026-03-01T12:00:03Z  running  epoch 3/50  loss 0.312  acc "
            "81.0%");
  ASSERT_EQ(Cli({"job", "logs", "1", "--from", "3", "-o", "json"}), 0);
  EXPECT_EQ(Json()["sequence"], 3);
  EXPECT_EQ(state().watched_from.back(), 3);
  ASSERT_EQ(Cli({"job", "logs", "1", "--from", "4"}), 0);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(Cli({"job", "logs", "7"}), 3);
}

TEST_F(JobCareTest, FollowedLogsGoOnToTheEnd) {
  state().jobs[0].set_state(v1::JOB_STATE_SUCCEEDED);
  state().jobs[0].set_done(true);
  ASSERT_EQ(Cli({"job", "logs", "1", "--from", "2", "--follow"}), 0) << err_;
  const std::vector<std::string> lines =
      absl::StrSplit(out_, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 3u) << out_;
}

TEST_F(JobCareTest, TrainingHasAPriorityAndMayBeFreshOrDry) {
  v1::JobEstimate& estimate = *state().jobs[0].mutable_estimate();
  estimate.set_images(10);
  estimate.set_steps(100);
  ASSERT_EQ(Cli({"train", "pets", "--priority", "batch", "--fresh"}), 0)
      << err_;
  EXPECT_EQ(state().created.at(0).priority(), v1::JOB_PRIORITY_BATCH);
  EXPECT_TRUE(state().created.at(0).fresh());
  EXPECT_FALSE(state().created.at(0).validate_only());
  ASSERT_EQ(Cli({"train", "pets", "--dry-run"}), 0) << err_;
  EXPECT_TRUE(state().created.at(1).validate_only());
  EXPECT_EQ(state().created.at(1).priority(), v1::JOB_PRIORITY_UNSPECIFIED);
  EXPECT_THAT(out_, HasSubstr("unknown: no such job has finished"));
  estimate.mutable_duration()->set_seconds(62);
  ASSERT_EQ(Cli({"train", "pets", "--dry-run"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("about 1:02"));
  EXPECT_EQ(Cli({"train", "pets", "--priority", "now"}), 2);
}

TEST_F(JobCareTest, ADeduplicatedJobSaysSo) {
  state().jobs[0].set_deduplicated(true);
  ASSERT_EQ(Cli({"train", "pets"}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("--fresh computes it again"));
}

}  // namespace
}  // namespace promptd::client
