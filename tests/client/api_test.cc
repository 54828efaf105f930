// Every verb but the pushing ones against a server over a real channel.
#include <filesystem>

#include "common/file.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "promptd/v1/classify.pb.h"
#include "promptd/v1/training.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ApiTest : public CliFixture {
 protected:
  // A job that learned something, with `count` progress events.
  void AddJob(v1::JobState state_value, int count) {
    v1::TrainingJob job;
    job.set_id(1);
    job.set_state(state_value);
    job.set_done(true);
    job.mutable_spec()->set_task("pets");
    job.set_version(3);
    job.mutable_start_time()->set_seconds(100);
    job.mutable_end_time()->set_seconds(141);
    job.mutable_result()->set_split("test");
    job.mutable_result()->set_accuracy(0.946);
    job.mutable_result()->set_zero_shot_accuracy(0.713);
    state().jobs = {job};
    for (int i = 1; i <= count; ++i) {
      v1::JobEvent event;
      event.set_sequence(i);
      event.mutable_progress()->set_phase("train");
      event.mutable_progress()->set_epoch(i);
      event.mutable_progress()->set_epochs(count);
      event.mutable_progress()->set_fraction(static_cast<double>(i) / count);
      state().events.push_back(event);
    }
  }
  std::string Image(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomically(Path(name), bytes).ok());
    return Path(name);
  }
};

TEST_F(ApiTest, StatusFitsOnOneScreen) {
  ASSERT_EQ(Cli({"status"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("promptd 9.9.9  up 1:01"));
  EXPECT_THAT(out_, HasSubstr("1 running, 2 succeeded"));
  EXPECT_THAT(out_, HasSubstr("small demonstration encoder"));
  ASSERT_EQ(Cli({"status", "-o", "json"}), 0);
  EXPECT_EQ(Json()["jobs"]["succeeded"], 2);
  EXPECT_EQ(Json()["encoders"][0]["name"], "embedded");
}

TEST_F(ApiTest, TrainSendsOnlyWhatWasSaid) {
  ASSERT_EQ(Cli({"train",
                 "pets",
                 "--shots",
                 "4",
                 "-M",
                 "8",
                 "--init",
                 "a photo of a",
                 "--lr",
                 "0.01",
                 "--seed",
                 "7",
                 "--template",
                 "a {}.",
                 "--template",
                 "the {}",
                 "--request-id",
                 "r1",
                 "--views",
                 "epochs",
                 "--select",
                 "best-val",
                 "--class-position",
                 "middle",
                 "--csc",
                 "--classes",
                 "base",
                 "--from",
                 "pets:3"}),
            0)
      << err_;
  const v1::CreateTrainingJobRequest& request = state().created.at(0);
  EXPECT_EQ(request.request_id(), "r1");
  EXPECT_EQ(request.spec().task(), "pets");
  EXPECT_EQ(request.spec().shots(), 4);
  EXPECT_EQ(request.spec().context_tokens(), 8);
  EXPECT_EQ(request.spec().context_init(), "a photo of a");
  EXPECT_EQ(request.spec().learning_rate(), 0.01);
  EXPECT_EQ(request.spec().seed(), 7);
  EXPECT_THAT(request.spec().templates(), ElementsAre("a {}.", "the {}"));
  EXPECT_EQ(request.spec().class_position(), v1::CLASS_POSITION_MIDDLE);
  EXPECT_TRUE(request.spec().has_views());
  EXPECT_EQ(request.spec().views(), 0);
  EXPECT_EQ(request.spec().selection(), v1::SELECTION_BEST_VALIDATION);
  EXPECT_TRUE(request.spec().class_specific());
  EXPECT_EQ(request.spec().class_subset(), v1::CLASS_SUBSET_BASE);
  EXPECT_EQ(request.spec().initial_version().version(), 3);
  EXPECT_FALSE(request.spec().has_epochs());
  EXPECT_FALSE(request.spec().has_batch_size());
  ASSERT_EQ(Cli({"train", "pets"}), 0);
  EXPECT_THAT(state().created.at(1).request_id(), Not(""));
  EXPECT_FALSE(state().created.at(1).spec().has_views());
  EXPECT_EQ(state().created.at(1).spec().selection(),
            v1::SELECTION_UNSPECIFIED);
  ASSERT_EQ(Cli({"train", "pets", "--views", "8", "--select", "last"}), 0);
  EXPECT_EQ(state().created.at(2).spec().views(), 8);
  EXPECT_EQ(state().created.at(2).spec().selection(), v1::SELECTION_LAST_STEP);
  for (const char* views : {"0", "-1", "many", "1.5"}) {
    EXPECT_EQ(Cli({"train", "pets", "--views", views}), 2) << views;
    EXPECT_THAT(err_, HasSubstr("give 1, a number of views, or epochs"));
  }
}

TEST_F(ApiTest, TrainWaitShowsProgressAndTheBaselineBesideTheResult) {
  AddJob(v1::JOB_STATE_SUCCEEDED, 20);
  ASSERT_EQ(Cli({"train", "pets", "--wait"}), 0) << err_;
  EXPECT_EQ(out_,
            "done     pets:3   test 94.6% (zero-shot 71.3%, +23.3)   41 s\n");
  EXPECT_THAT(err_, HasSubstr("epoch 20/20"));
  EXPECT_THAT(err_, HasSubstr("promptctl classify photo.jpg --task pets"));
  ASSERT_EQ(Cli({"train", "pets", "--wait", "-o", "json"}), 0);
  EXPECT_EQ(Json()["version"], 3);
  EXPECT_EQ(Json()["state"], "succeeded");
}

TEST_F(ApiTest, ResultsNameTheEpochThatValidationPicked) {
  AddJob(v1::JOB_STATE_SUCCEEDED, 20);
  v1::TrainingJob& job = state().jobs[0];
  job.mutable_result()->set_selected_epoch(12);
  job.mutable_result()->set_validation_accuracy(0.912);
  v1::JobProgress* encoding = state().events[1].mutable_progress();
  encoding->set_phase("encode");
  encoding->set_step(32);
  encoding->set_steps(160);
  ASSERT_EQ(Cli({"train", "pets", "--wait"}), 0) << err_;
  EXPECT_EQ(out_,
            "done     pets:3   test 94.6% (zero-shot 71.3%, +23.3), epoch 12 "
            "(val 91.2%)   41 s\n");
  job.mutable_spec()->set_views(0);
  job.mutable_spec()->set_selection(v1::SELECTION_BEST_VALIDATION);
  ASSERT_EQ(Cli({"job", "show", "1"}), 0);
  EXPECT_THAT(out_, HasSubstr("a fresh random crop each epoch"));
  EXPECT_THAT(out_, HasSubstr("best epoch on validation images"));
  job.mutable_spec()->set_views(8);
  ASSERT_EQ(Cli({"job", "show", "1"}), 0);
  EXPECT_THAT(out_, HasSubstr("8 random crops in turn"));
  ASSERT_EQ(Cli({"job", "show", "1", "-o", "json"}), 0);
  EXPECT_EQ(Json()["result"]["selected_epoch"], 12);
}

TEST_F(ApiTest, TrainReportsAllViolations) {
  state().fail = promptd::testing::RichError(
      grpc::StatusCode::INVALID_ARGUMENT, "INVALID_SPEC", "two",
      {{"spec.shots", "class \"bmw\" has 1 image"}, {"spec.epochs", "0"}});
  EXPECT_EQ(Cli({"train", "cars"}), 1);
  EXPECT_THAT(err_, HasSubstr("error: cannot train \"cars\"\n"));
  EXPECT_THAT(err_, HasSubstr("spec.shots: class \"bmw\" has 1 image"));
  EXPECT_THAT(err_, HasSubstr("spec.epochs: 0"));
  EXPECT_THAT(err_, HasSubstr("INVALID_SPEC  request req-1"));
}

TEST_F(ApiTest, AFailedJobIsAnErrorWithItsReason) {
  AddJob(v1::JOB_STATE_FAILED, 1);
  state().jobs[0].set_error_reason("TOO_FEW_IMAGES");
  state().jobs[0].set_error_message("class \"bmw\" has 1 image: use --shots 1");
  EXPECT_EQ(Cli({"train", "pets", "--wait"}), 1);
  EXPECT_EQ(out_, "");
  EXPECT_THAT(err_, HasSubstr("class \"bmw\" has 1 image\n"));
  EXPECT_THAT(err_, HasSubstr("  fix   use --shots 1\n"));
  EXPECT_THAT(err_, HasSubstr("TOO_FEW_IMAGES"));
}

TEST_F(ApiTest, WatchSurvivesALostServerWithoutRepeatingEvents) {
  AddJob(v1::JOB_STATE_SUCCEEDED, 5);
  state().break_after = 3;
  ASSERT_EQ(Cli({"job", "watch", "1", "-o", "json"}), 0) << err_;
  std::istringstream lines(out_);
  std::string line;
  int64_t expected = 1;
  while (std::getline(lines, line)) {
    EXPECT_EQ(nlohmann::json::parse(line)["sequence"], expected++);
  }
  EXPECT_EQ(expected, 6);
  EXPECT_THAT(state().watched_from, ElementsAre(1, 4));
}

TEST_F(ApiTest, JobVerbs) {
  AddJob(v1::JOB_STATE_SUCCEEDED, 1);
  ASSERT_EQ(Cli({"job", "list"}), 0);
  EXPECT_THAT(out_, HasSubstr("pets:3  test 94.6% (zero-shot 71.3%, +23.3)"));
  ASSERT_EQ(Cli({"job", "show", "1"}), 0);
  EXPECT_THAT(out_, HasSubstr("succeeded"));
  EXPECT_EQ(Cli({"job", "show", "7"}), 3);
  EXPECT_THAT(err_, HasSubstr("error: no job 7\n  fix   see `promptctl job "
                              "list`\n  ref   JOB_NOT_FOUND  request req-1"));
}

TEST_F(ApiTest, ClassifyBatchesUnderTheLimits) {
  std::vector<std::string> line = {"classify", "--task", "pets:2"};
  for (int i = 0; i < 5; ++i) {
    line.push_back(Image("image" + std::to_string(i), "bytes"));
  }
  ASSERT_EQ(Cli(line), 0) << err_;
  EXPECT_EQ(state().classified.size(), 3u);  // two images a call
  for (const v1::ClassifyRequest& request : state().classified) {
    EXPECT_EQ(request.version(), 2);
    EXPECT_EQ(request.top_k(), 5);
  }
  EXPECT_THAT(out_, HasSubstr("image4  cat 0.750\n"));
}

TEST_F(ApiTest, OneBadImageDoesNotStopTheOthers) {
  const std::string good = Image("good.jpg", "bytes");
  const std::string broken = Image("broken.jpg", "broken");
  const std::string empty = Image("empty.jpg", "");
  std::filesystem::create_directory(Path("folder"));
  EXPECT_EQ(Cli({"classify", good, broken, empty, Path("folder"), Path("*.jpg"),
                 Path("none.jpg"), "-t", "pets@beta", "-o", "json"}),
            1);
  const nlohmann::json results = Json()["results"];
  EXPECT_EQ(results[0]["scores"][0]["class_name"], "cat");
  EXPECT_EQ(results[1]["error"]["reason"], "IMAGE_TRUNCATED");
  EXPECT_EQ(results[2]["error"]["reason"], "IMAGE_EMPTY");
  EXPECT_EQ(results[3]["error"]["reason"], "IS_A_FOLDER");
  EXPECT_THAT(std::string(results[4]["error"]["message"]),
              HasSubstr("no file matches"));
  EXPECT_EQ(results[5]["error"]["reason"], "FILE_NOT_FOUND");
  EXPECT_EQ(state().classified.at(0).alias(), "beta");
  EXPECT_THAT(err_, HasSubstr("5 of 6 images"));
}

TEST_F(ApiTest, ImagesOverTheLimitNeverLeave) {
  const std::string big = Image("big.jpg", std::string(2 << 20, 'x'));
  EXPECT_EQ(Cli({"classify", big, "-t", "pets"}), 1);
  EXPECT_THAT(out_, HasSubstr("FILE_TOO_LARGE"));
  EXPECT_TRUE(state().classified.empty());
}

TEST_F(ApiTest, LabelsAreZeroShot) {
  const std::string image = Image("a.jpg", "bytes");
  ASSERT_EQ(Cli({"classify", image, "--labels", "cat, dog ,", "--template",
                 "a photo of a {}."}),
            0)
      << err_;
  const v1::ZeroShotClassifyRequest& request = state().zero_shot.at(0);
  EXPECT_THAT(request.labels(), ElementsAre("cat", "dog"));
  EXPECT_EQ(request.template_(), "a photo of a {}.");
}

TEST_F(ApiTest, APriorityIsOneOfThree) {
  const std::string image = Image("a.jpg", "bytes");
  ASSERT_EQ(Cli({"classify", image, "-t", "pets", "--priority", "low"}), 0);
  EXPECT_EQ(state().classified.at(0).priority(), v1::PRIORITY_LOW);
  ASSERT_EQ(Cli({"classify", image, "-t", "pets"}), 0);
  EXPECT_EQ(state().classified.at(1).priority(), v1::PRIORITY_UNSPECIFIED);
  EXPECT_EQ(Cli({"classify", image, "-t", "pets", "--priority", "urgent"}), 2);
  EXPECT_THAT(err_, HasSubstr("--priority"));
}

TEST_F(ApiTest, ByDigestOnlyWhatIsNotKnownIsSent) {
  const std::string known = Image("known.jpg", "bytes");
  const std::string strange = Image("strange.jpg", "other bytes");
  state().known_digest = Sha256Hex("bytes");
  ASSERT_EQ(Cli({"classify", known, strange, "-t", "pets", "--by-digest"}), 0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("known.jpg    dog"));
  EXPECT_THAT(out_, HasSubstr("strange.jpg  cat 0.750\n"));
  ASSERT_EQ(state().classified.size(), 2u);
  EXPECT_EQ(state().classified[0].images_size(), 0);
  EXPECT_EQ(state().classified[0].image_digests_size(), 2);
  EXPECT_THAT(state().classified[1].images(), ElementsAre("other bytes"));
  ASSERT_EQ(Cli({"classify", known, "-t", "pets", "--by-digest"}), 0);
  EXPECT_EQ(state().classified.size(), 3u);
  EXPECT_EQ(Cli({"classify", known, "-t", "pets", "--by-digest", "--no-cache"}),
            2);
  EXPECT_EQ(Cli({"classify", known, "-t", "a", "-t", "b", "--by-digest"}), 2);
}

TEST_F(ApiTest, SeveralTasksShareEachCall) {
  state().no_tasks.insert("birds");
  std::vector<std::string> line = {"classify",   "-t",         "pets:2",
                                   "-t",         "birds@beta", "--no-cache",
                                   "--priority", "high"};
  for (const char* name : {"a.jpg", "b.jpg", "c.jpg"}) {
    line.push_back(Image(name, "bytes"));
  }
  line.push_back(Image("d.jpg", "broken"));
  EXPECT_EQ(Cli(line), 1);
  EXPECT_THAT(out_, HasSubstr("pets:2\n"));
  EXPECT_THAT(out_, HasSubstr("c.jpg  cat 0.750\n"));
  EXPECT_THAT(
      out_, HasSubstr("birds@beta  error: no task \"birds\" (TASK_NOT_FOUND)"));
  EXPECT_THAT(err_, HasSubstr("5 of 8 images"));
  ASSERT_EQ(state().multi_classified.size(), 2u);  // two images a call
  const v1::MultiClassifyRequest& request = state().multi_classified[0];
  EXPECT_EQ(request.images_size(), 2);
  EXPECT_EQ(request.tasks(0).version(), 2);
  EXPECT_EQ(request.tasks(1).alias(), "beta");
  EXPECT_EQ(request.tasks(0).top_k(), 5);
  EXPECT_TRUE(request.no_cache());
  EXPECT_EQ(request.priority(), v1::PRIORITY_HIGH);
  line.insert(line.end(), {"-o", "json"});
  EXPECT_EQ(Cli(line), 1);
  const nlohmann::json tasks = Json()["tasks"];
  EXPECT_EQ(tasks[0]["version"], 2);
  EXPECT_EQ(tasks[0]["timings"]["total"], 0.007);
  EXPECT_EQ(tasks[0]["results"][0]["cache"], "join");
  EXPECT_EQ(tasks[0]["results"][0]["batch_size"], 4);
  EXPECT_EQ(tasks[0]["results"][3]["error"]["reason"], "IMAGE_TRUNCATED");
  EXPECT_EQ(tasks[1]["error"]["reason"], "TASK_NOT_FOUND");
}

TEST_F(ApiTest, VerboseTellsWhatTheServerDid) {
  ASSERT_EQ(Cli({"classify", Image("a.jpg", "bytes"), "-t", "pets", "-v"}), 0);
  EXPECT_THAT(out_, HasSubstr("cat 0.750  [join, batch of 4]"));
  EXPECT_THAT(err_, HasSubstr("slowest call: hash "));
}

TEST_F(ApiTest, ListsFollowAllPages) {
  ASSERT_EQ(Cli({"task", "list", "-o", "json"}), 0);
  EXPECT_EQ(Json().size(), 2u);
  EXPECT_EQ(Json()[1]["name"], "pets");
}

TEST_F(ApiTest, ExportNeverOverwritesUnlessForced) {
  const std::string folder = Path("out/pets-1");
  ASSERT_EQ(Cli({"version", "export", "pets:1", "--out", folder}), 0) << err_;
  EXPECT_EQ(*ReadFile(folder + "/context.safetensors", 100), "context bytes");
  EXPECT_EQ(*ReadFile(folder + "/manifest.json", 100), "{\"version\":1}");
  EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", folder}), 1);
  EXPECT_THAT(err_, HasSubstr("FILE_EXISTS"));
  EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", folder, "--force"}),
            0);
}

TEST_F(ApiTest, ACorruptExportIsNotWritten) {
  state().context = "other bytes";
  EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", Path("out")}), 1);
  EXPECT_THAT(err_, HasSubstr("EXPORT_CORRUPT"));
  // Nor one that came back without the context of its record.
  state().context = "";
  EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", Path("out")}), 1);
  EXPECT_THAT(err_, HasSubstr("EXPORT_CORRUPT"));
  EXPECT_FALSE(std::filesystem::exists(Path("out/context.safetensors")));
}

TEST_F(ApiTest, AliasSetComparesAndSwaps) {
  ASSERT_EQ(Cli({"alias", "set", "pets", "production", "2", "--expect", "1"}),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("pets:2"));
  EXPECT_EQ(Cli({"alias", "set", "pets", "production", "2", "--expect", "9"}),
            1);
  EXPECT_THAT(err_, HasSubstr("ALIAS_MOVED"));
  ASSERT_EQ(Cli({"alias", "list", "pets", "-o", "json"}), 0);
  EXPECT_EQ(Json()[0]["revision"], 2);
}

TEST_F(ApiTest, VersionTaskAndEncoderShow) {
  ASSERT_EQ(Cli({"version", "show", "pets@beta", "-o", "json"}), 0);
  EXPECT_EQ(Json()["aliases"][0], "beta");
  ASSERT_EQ(Cli({"task", "show", "pets"}), 0);
  EXPECT_THAT(out_, HasSubstr("cat, dog"));
  ASSERT_EQ(Cli({"encoder", "show", "embedded"}), 0);
  EXPECT_THAT(out_, HasSubstr("77 tokens"));
  EXPECT_EQ(Cli({"encoder", "show", "other"}), 3);
}

TEST_F(ApiTest, ExitCodesFollowTheServersAnswer) {
  using Code = grpc::StatusCode;
  const std::vector<std::pair<Code, int>> table = {
      {Code::PERMISSION_DENIED, 4}, {Code::UNAUTHENTICATED, 4},
      {Code::UNAVAILABLE, 5},       {Code::RESOURCE_EXHAUSTED, 6},
      {Code::DEADLINE_EXCEEDED, 7}, {Code::INTERNAL, 1}};
  for (const auto& [code, exit] : table) {
    state().fail = promptd::testing::RichError(code, "SOME_REASON", "why");
    EXPECT_EQ(Cli({"task", "show", "pets"}), exit);
    EXPECT_THAT(err_, HasSubstr("SOME_REASON"));
  }
}

TEST_F(ApiTest, QuietKeepsResultsOnly) {
  AddJob(v1::JOB_STATE_SUCCEEDED, 5);
  ASSERT_EQ(Cli({"job", "watch", "1", "--quiet"}), 0);
  EXPECT_EQ(err_, "");
  EXPECT_THAT(out_, HasSubstr("done     pets:3"));
}

}  // namespace
}  // namespace promptd::client
