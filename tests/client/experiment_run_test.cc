// The driver of experiments against services that keep jobs by request id, as
// promptd does.
#include "client/experiment_run.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "promptd/v1/prompt.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"
#include "tests/client/fake_server.h"
#include "tests/testing/temp_dir.h"

namespace promptd::client {
namespace {

using experiments::Held;
using experiments::Member;
using experiments::MemberResult;
using experiments::Plan;
using experiments::ResultFolder;
using promptd::testing::RichError;
using ::testing::HasSubstr;

// Jobs that end when they are looked at for the second time.
struct Jobs {
  std::mutex mutex;
  std::map<std::string, int64_t> by_request;
  std::map<int64_t, v1::TrainingJob> jobs;
  std::map<int64_t, int> looks;
  size_t most_unfinished = 0;
  size_t limit = 100;
  int away = 0;  // calls that find nobody
  std::string failing_method, refused_method, failing_dataset;

  size_t Unfinished() const {
    size_t count = 0;
    for (const auto& [id, job] : jobs) count += job.done() ? 0 : 1;
    return count;
  }
  grpc::Status Create(const std::string& request_id, v1::TrainingJob job,
                      v1::TrainingJob* out) {
    const auto known = by_request.find(request_id);
    if (known != by_request.end()) {
      *out = jobs[known->second];
      return grpc::Status::OK;
    }
    if (Unfinished() >= limit) {
      return RichError(grpc::StatusCode::RESOURCE_EXHAUSTED, "TOO_MANY_JOBS",
                       "too many");
    }
    job.set_id(static_cast<int64_t>(jobs.size()) + 1);
    by_request[request_id] = job.id();
    jobs[job.id()] = job;
    most_unfinished = std::max(most_unfinished, Unfinished());
    *out = job;
    return grpc::Status::OK;
  }
  grpc::Status Away() {
    if (away == 0) return grpc::Status::OK;
    --away;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting");
  }
};

class Training final : public v1::TrainingService::Service {
 public:
  explicit Training(Jobs* jobs) : jobs_(*jobs) {}
  grpc::Status CreateTrainingJob(grpc::ServerContext*,
                                 const v1::CreateTrainingJobRequest* request,
                                 v1::TrainingJob* out) override {
    const std::lock_guard<std::mutex> lock(jobs_.mutex);
    const v1::TrainingSpec& spec = request->spec();
    if (spec.method() == jobs_.refused_method) {
      return RichError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_SPEC",
                       "spec.method: is not known");
    }
    v1::TrainingJob job;
    *job.mutable_spec() = spec;
    return jobs_.Create(request->request_id(), job, out);
  }
  grpc::Status GetTrainingJob(grpc::ServerContext*,
                              const v1::GetTrainingJobRequest* request,
                              v1::TrainingJob* out) override {
    const std::lock_guard<std::mutex> lock(jobs_.mutex);
    const grpc::Status away = jobs_.Away();
    if (!away.ok()) return away;
    v1::TrainingJob& job = jobs_.jobs[request->id()];
    job.set_state(v1::JOB_STATE_RUNNING);
    if (++jobs_.looks[request->id()] >= 2) End(job);
    *out = job;
    return grpc::Status::OK;
  }

 private:
  void End(v1::TrainingJob& job) {
    job.set_done(true);
    const bool failed =
        (job.has_spec() && job.spec().method() == jobs_.failing_method) ||
        (job.has_evaluation_spec() &&
         job.evaluation_spec().dataset() == jobs_.failing_dataset);
    if (failed) {
      job.set_state(v1::JOB_STATE_FAILED);
      job.set_error_reason("IMAGE_TRUNCATED");
      job.set_error_message("an image ends early");
      return;
    }
    job.set_state(v1::JOB_STATE_SUCCEEDED);
    job.set_version(job.id());
    job.mutable_result()->set_accuracy(0.01 * static_cast<double>(job.id()));
  }
  Jobs& jobs_;
};

class Prompts final : public v1::PromptService::Service {
 public:
  explicit Prompts(Jobs* jobs) : jobs_(*jobs) {}
  grpc::Status CreateEvaluation(grpc::ServerContext*,
                                const v1::CreateEvaluationRequest* request,
                                v1::TrainingJob* out) override {
    const std::lock_guard<std::mutex> lock(jobs_.mutex);
    v1::TrainingJob job;
    *job.mutable_evaluation_spec() = request->spec();
    return jobs_.Create(request->request_id(), job, out);
  }

 private:
  Jobs& jobs_;
};

class Info final : public v1::ServerService::Service {
  grpc::Status GetServerInfo(grpc::ServerContext*,
                             const v1::GetServerInfoRequest*,
                             v1::GetServerInfoResponse* out) override {
    out->mutable_limits()->set_max_queued_jobs(100);
    return grpc::Status::OK;
  }
};

class ExperimentRunTest : public ::testing::Test {
 protected:
  ExperimentRunTest() : training_(&jobs_), prompts_(&jobs_) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&training_);
    builder.RegisterService(&prompts_);
    builder.RegisterService(&info_);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    for (const char* name : {"s", "t"}) {
      held_.datasets[name] = {name, absl::StrCat("digest of ", name), {"x"}};
      plan_.datasets.push_back(
          {name, name[0] == 't', name[0] == 's', false, {}});
    }
    held_.encoder_digests["e"] = "digest of e";
    plan_.experiment = "domain-generalization";
    plan_.encoders = {"e"};
    plan_.shots = {16};
    for (const char* method : {"one", "two", "three"}) {
      Member member;
      member.key = absl::StrCat("s+e+", method);
      member.dataset = "s";
      member.encoder = "e";
      member.method = method;
      member.spec.set_method(method);
      member.targets = {"t"};
      plan_.methods.push_back({method, method});
      plan_.members.push_back(member);
    }
    experiments::Resolve(held_, &plan_);
    options_.poll = absl::Milliseconds(1);
    options_.patience = absl::Seconds(5);
  }

  absl::StatusOr<ExperimentRunOutcome> Run() {
    Api api(address_, absl::Seconds(10));
    std::ostringstream out;
    Console console(out, messages_, {});
    Session session{api, console, *Clock::Real()};
    ResultFolder folder(dir_.path());
    return RunExperiment(session, plan_, held_, folder, options_);
  }
  MemberResult Result(const std::string& key) {
    int64_t others = 0;
    const ResultFolder folder(dir_.path());
    const auto stored = folder.ReadPlan();
    EXPECT_TRUE(stored.ok()) << stored.status();
    auto results = folder.Read(stored->fingerprints, &others);
    EXPECT_TRUE(results.ok()) << results.status();
    return (*results)[key];
  }

  Jobs jobs_;
  Training training_;
  Prompts prompts_;
  Info info_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  promptd::testing::TempDir dir_;
  Plan plan_;
  Held held_;
  ExperimentRunOptions options_;
  std::ostringstream messages_;
};

TEST_F(ExperimentRunTest, EveryMemberIsTrainedAndScored) {
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->succeeded, 3);
  EXPECT_EQ(outcome->failed + outcome->left + outcome->found, 0);
  EXPECT_EQ(jobs_.jobs.size(), 6u);
  EXPECT_LE(jobs_.most_unfinished, 4u);
  const MemberResult result = Result("s+e+two");
  ASSERT_EQ(result.scores.size(), 2u);
  EXPECT_EQ(result.scores[0].dataset, "s");
  EXPECT_EQ(result.scores[1].dataset, "t");
  // What is scored is the version that this member's training made.
  const auto& evaluation =
      jobs_.jobs[result.scores[1].job_id].evaluation_spec();
  EXPECT_EQ(evaluation.version().version(), result.version);
  EXPECT_EQ(evaluation.version().task(), result.task);
  EXPECT_EQ(result.version, result.scores[0].job_id);
  EXPECT_NEAR(result.scores[1].result.accuracy(),
              0.01 * static_cast<double>(result.scores[1].job_id), 1e-12);
}

TEST_F(ExperimentRunTest, ASecondRunAsksForNothing) {
  ASSERT_TRUE(Run().ok());
  jobs_.looks.clear();
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->found, 3);
  EXPECT_EQ(outcome->succeeded, 3);
  EXPECT_TRUE(jobs_.looks.empty());
}

TEST_F(ExperimentRunTest, WithoutItsResultsItFindsTheSameJobs) {
  ASSERT_TRUE(Run().ok());
  const auto before = ToJson(Result("s+e+one"));
  std::filesystem::remove_all(dir_.path() + "/members");
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(jobs_.jobs.size(), 6u);
  EXPECT_EQ(ToJson(Result("s+e+one")), before);
}

TEST_F(ExperimentRunTest, OtherImagesAreAnotherQuestion) {
  ASSERT_TRUE(Run().ok());
  held_.datasets["t"].digest = "other";
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->found, 0);
  // The trainings are as they were, the evaluations are new.
  EXPECT_EQ(jobs_.jobs.size(), 6u + 3);
  EXPECT_THAT(messages_.str(), HasSubstr("3 results are of other options"));
}

TEST_F(ExperimentRunTest, AFailureStopsNobodyElse) {
  jobs_.failing_method = "one";
  jobs_.refused_method = "three";
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->failed, 2);
  EXPECT_EQ(outcome->succeeded, 1);
  EXPECT_EQ(Result("s+e+one").Failure(),
            "IMAGE_TRUNCATED: an image ends early");
  EXPECT_EQ(Result("s+e+one").scores[1].reason, "NOT_TRAINED");
  EXPECT_THAT(Result("s+e+three").Failure(), HasSubstr("INVALID_SPEC"));
  EXPECT_THAT(messages_.str(), HasSubstr("s+e+one failed"));
  // They stay failed until somebody says otherwise.
  jobs_.failing_method.clear();
  jobs_.refused_method.clear();
  EXPECT_EQ(Run()->failed, 2);
  options_.retry_failed = true;
  options_.budget = absl::ZeroDuration();
  EXPECT_EQ(Run()->left, 2);
  EXPECT_EQ(Result("s+e+one").attempt, 1) << "the old result stays";
  options_.budget.reset();
  EXPECT_EQ(Run()->succeeded, 3);
  EXPECT_EQ(Result("s+e+one").attempt, 2);
}

TEST_F(ExperimentRunTest, AFailedTargetLeavesTheRest) {
  jobs_.failing_dataset = "t";
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->failed, 3);
  EXPECT_EQ(Result("s+e+one").scores[0].reason, "");
  EXPECT_EQ(Result("s+e+one").scores[1].reason, "IMAGE_TRUNCATED");
}

TEST_F(ExperimentRunTest, AFullQueueIsWaitedFor) {
  jobs_.limit = 1;
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->succeeded, 3);
  EXPECT_EQ(jobs_.most_unfinished, 1u);
}

TEST_F(ExperimentRunTest, AServerThatComesBackIsWaitedFor) {
  jobs_.away = 5;
  EXPECT_EQ(Run()->succeeded, 3);
}

TEST_F(ExperimentRunTest, AServerThatStaysAwayIsAnError) {
  jobs_.away = 1'000'000;
  options_.patience = absl::Milliseconds(50);
  const auto outcome = Run();
  EXPECT_TRUE(absl::IsUnavailable(outcome.status())) << outcome.status();
  jobs_.away = 0;
  EXPECT_EQ(Run()->succeeded, 3);
}

TEST_F(ExperimentRunTest, WhenTheTimeIsUpTheRestIsLeft) {
  options_.budget = absl::ZeroDuration();
  const auto outcome = Run();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->left, 3);
  EXPECT_EQ(jobs_.jobs.size(), 0u);
  options_.budget = absl::Minutes(5);
  EXPECT_EQ(Run()->succeeded, 3);
}

}  // namespace
}  // namespace promptd::client
