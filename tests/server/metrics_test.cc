#include "server/metrics.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/server/server_fixture.h"
#include "worker/observer.h"

namespace promptd::server {
namespace {

class MetricsTest : public ServerFixture {
 protected:
  // Every family's name, from the TYPE lines.
  std::set<std::string> Names() {
    std::set<std::string> names;
    const std::string text = Metrics();
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!absl::StartsWith(line, "# TYPE ")) continue;
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      names.insert(words[2]);
    }
    return names;
  }
};

// Dashboards and alerts name these. A rename is a breaking change.
const std::set<std::string>& GoldenNames() {
  static const auto* const kNames = new std::set<std::string>{
      "process_cpu_seconds_total",
      "process_max_fds",
      "process_open_fds",
      "process_resident_memory_bytes",
      "process_start_time_seconds",
      "process_threads",
      "process_virtual_memory_bytes",
      "promptd_admission_rejected_total",
      "promptd_batch_size",
      "promptd_batch_tasks",
      "promptd_blobs_corrupt_total",
      "promptd_build_info",
      "promptd_cache_bytes",
      "promptd_cache_evictions_total",
      "promptd_cache_requests_total",
      "promptd_cancelled_total",
      "promptd_deadline_expired_total",
      "promptd_garbage_collections_total",
      "promptd_garbage_removed_blobs_total",
      "promptd_garbage_removed_bytes_total",
      "promptd_grpc_in_flight",
      "promptd_grpc_request_duration_seconds",
      "promptd_grpc_requests_total",
      "promptd_images_encoded_total",
      "promptd_images_total",
      "promptd_job_accuracy",
      "promptd_job_epoch",
      "promptd_job_loss",
      "promptd_job_queue_seconds",
      "promptd_job_run_seconds",
      "promptd_job_slot_info",
      "promptd_jobs",
      "promptd_jobs_finished_total",
      "promptd_prompts_resident",
      "promptd_queue_bytes",
      "promptd_queue_images",
      "promptd_ready",
      "promptd_stage_duration_seconds",
      "promptd_training_steps_total",
      "promptd_worker_up",
      "promptd_workers",
  };
  return *kNames;
}

TEST_F(MetricsTest, NamesAreTheContract) {
  server_->observer()->OnJobStarted(0, 7, "pets");
  EXPECT_EQ(Names(), GoldenNames());
}

TEST_F(MetricsTest, PromtoolAcceptsThePage) {
  PushPets();
  TrainOnce();
  server_->observer()->OnJobStarted(0, 7, "pets");
  const std::string path = dir_.path() + "/metrics.txt";
  std::ofstream(path) << Metrics();
  const std::string command = "promtool check metrics < " + path + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  char buffer[4096];
  while (std::fgets(buffer, sizeof(buffer), pipe) != nullptr) output += buffer;
  EXPECT_EQ(::pclose(pipe), 0) << output;
  EXPECT_EQ(output, "");
}

TEST_F(MetricsTest, EveryLabelValueStartsAtZero) {
  const std::string text = Metrics();
  for (const char* line :
       {"promptd_jobs{state=\"queued\"} 0", "promptd_jobs{state=\"paused\"} 0",
        "promptd_jobs_finished_total{result=\"failed\"} 0",
        "promptd_images_total{outcome=\"error\"} 0",
        "promptd_cache_requests_total{cache=\"text_features\",result=\"hit\"} "
        "0",
        "promptd_cache_requests_total{cache=\"embedding\",result=\"bypass\"} 0",
        "promptd_stage_duration_seconds_count{stage=\"hash\"} 0",
        "promptd_stage_duration_seconds_count{stage=\"decode\"} 0",
        "promptd_stage_duration_seconds_count{stage=\"queue\"} 0",
        "promptd_stage_duration_seconds_count{stage=\"encode\"} 0",
        "promptd_stage_duration_seconds_count{stage=\"head\"} 0",
        "promptd_ready 1"}) {
    EXPECT_TRUE(absl::StrContains(text, std::string("\n") + line + "\n"))
        << line;
  }
}

TEST_F(MetricsTest, RunningJobOccupiesItsSlotUntilItsEnd) {
  worker::Observer* observer = server_->observer();
  observer->OnJobStarted(0, 42, "pets");
  worker::Progress progress;
  progress.loss = 0.25;
  progress.accuracy = 0.75;
  progress.epoch = 3;
  observer->OnJobProgress(0, progress);
  std::string text = Metrics();
  for (const char* line :
       {"promptd_job_slot_info{job=\"42\",slot=\"0\",task=\"pets\"} 1",
        "promptd_job_loss{slot=\"0\"} 0.25",
        "promptd_job_accuracy{slot=\"0\"} 0.75",
        "promptd_job_epoch{slot=\"0\"} 3"}) {
    EXPECT_TRUE(absl::StrContains(text, line)) << line << "\n" << text;
  }
  observer->OnJobEnded(0);
  text = Metrics();
  EXPECT_FALSE(absl::StrContains(text, "slot=\"0\""));
}

TEST_F(MetricsTest, WorkAndJobsAreCounted) {
  worker::Observer* observer = server_->observer();
  observer->OnStage(worker::Stage::kEncode, absl::Milliseconds(3));
  observer->OnBatch(8, 3);
  observer->OnImage(true);
  observer->OnImage(false);
  observer->OnTrainingSteps(5);
  observer->OnCacheUse(worker::Cache::kEmbedding, worker::CacheUse::kJoin);
  observer->OnCacheSize(worker::Cache::kEmbedding, 4096, 3, 2);
  observer->OnCacheSize(worker::Cache::kTextFeatures, 512, 7, 0);
  PushPets();
  TrainOnce();
  CreateJob(PetsJob());
  const std::string text = Metrics();
  for (const char* line :
       {"promptd_stage_duration_seconds_count{stage=\"encode\"} 1",
        "promptd_batch_size_sum 8", "promptd_batch_tasks_sum 3",
        "promptd_images_encoded_total 8",
        "promptd_cache_requests_total{cache=\"embedding\",result=\"join\"} 1",
        "promptd_cache_bytes{cache=\"embedding\"} 4096",
        "promptd_cache_evictions_total{cache=\"embedding\"} 2",
        "promptd_cache_bytes{cache=\"text_features\"} 512",
        "promptd_prompts_resident 7", "promptd_images_total{outcome=\"ok\"} 1",
        "promptd_training_steps_total 5", "promptd_jobs{state=\"succeeded\"} 1",
        "promptd_jobs{state=\"queued\"} 1",
        "promptd_jobs_finished_total{result=\"succeeded\"} 1",
        "promptd_job_queue_seconds_count 1",
        "promptd_job_run_seconds_count 1"}) {
    EXPECT_TRUE(absl::StrContains(text, std::string("\n") + line + "\n"))
        << line;
  }
}

}  // namespace
}  // namespace promptd::server
