// promptctl eval and evaluation, over a real channel.
#include "gmock/gmock.h"
#include "promptd/v1/training.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class EvalTest : public CliFixture {
 protected:
  EvalTest() {
    state().evaluation.set_id(1);
    state().evaluation.set_task("pets");
    state().evaluation.set_version(3);
    state().evaluation.set_dataset("sketches");
    Fill(state().evaluation.mutable_result());
  }

  static void Fill(v1::Evaluation* result) {
    result->set_split("test");
    result->set_images(4);
    result->set_accuracy(0.75);
    result->set_zero_shot_accuracy(0.5);
    result->set_zero_shot_template("a {}.");
    result->set_zero_shot_ece(0.125);
    for (const char* name : {"cat", "dog"}) {
      auto* entry = result->add_classes();
      entry->set_class_name(name);
      entry->set_images(2);
    }
    Count(0, 0, 2, result);
    Count(1, 0, 1, result);
    Count(1, 1, 3, result);
  }

  static void Count(int label, int answer, int64_t images,
                    v1::Evaluation* result) {
    auto* count = result->add_confusion();
    count->set_label(label);
    count->set_answer(answer);
    count->set_images(images);
  }

  // The job that the fake server ends at once.
  void JobEnds(v1::JobState state_at_end) {
    v1::TrainingJob job;
    job.set_state(state_at_end);
    job.set_done(true);
    job.set_version(3);
    Fill(job.mutable_result());
    state().jobs = {job};
    v1::JobEvent event;
    event.set_sequence(1);
    event.set_state(state_at_end);
    state().events = {event};
  }
};

TEST_F(EvalTest, WaitsAndPrintsBothSides) {
  JobEnds(v1::JOB_STATE_SUCCEEDED);
  ASSERT_EQ(Cli({"eval", "pets:3", "sketches", "--split", "test", "--classes",
                 "base", "--template", "a {}."}),
            0)
      << err_;
  ASSERT_EQ(state().evaluated.size(), 1u);
  const v1::EvaluationSpec& spec = state().evaluated[0].spec();
  EXPECT_EQ(spec.version().task(), "pets");
  EXPECT_EQ(spec.version().version(), 3);
  EXPECT_EQ(spec.dataset(), "sketches");
  EXPECT_EQ(spec.split(), "test");
  EXPECT_EQ(spec.class_subset(), v1::CLASS_SUBSET_BASE);
  EXPECT_EQ(spec.templates(0), "a {}.");
  EXPECT_NE(state().evaluated[0].request_id(), "");
  EXPECT_THAT(out_, HasSubstr("pets:3 on sketches   test 75.0% (zero-shot "
                              "50.0%, +25.0)"));
  EXPECT_THAT(out_, HasSubstr("zero-shot \"a {}.\": accuracy 50.0%"));
}

TEST_F(EvalTest, AnAliasIsResolvedByTheServer) {
  ASSERT_EQ(Cli({"eval", "pets@beta", "sketches", "--no-wait"}), 0) << err_;
  EXPECT_EQ(state().evaluated[0].spec().version().alias(), "beta");
  EXPECT_THAT(err_, HasSubstr("promptctl job watch 1"));
  ASSERT_EQ(Cli({"-o", "json", "eval", "pets", "sketches", "--no-wait"}), 0);
  EXPECT_EQ(Json()["kind"], "evaluate");
  EXPECT_EQ(Json()["evaluation_spec"]["dataset"], "sketches");
}

TEST_F(EvalTest, AFailedJobIsAnError) {
  JobEnds(v1::JOB_STATE_FAILED);
  state().jobs[0].set_error_reason("IMAGE_TRUNCATED");
  state().jobs[0].set_error_message("image a.png ends early");
  EXPECT_NE(Cli({"eval", "pets:3", "sketches"}), 0);
  EXPECT_THAT(err_, HasSubstr("image a.png ends early"));
  EXPECT_THAT(err_, HasSubstr("job 1 of \"pets\""));
}

TEST_F(EvalTest, ARefusalIsShown) {
  state().fail = promptd::testing::RichError(
      grpc::StatusCode::FAILED_PRECONDITION, "CLASSES_DIFFER",
      "dataset \"birds\" has 1 class that task \"pets\" has not: \"owl\"");
  EXPECT_NE(Cli({"eval", "pets", "birds"}), 0);
  EXPECT_THAT(err_, HasSubstr("\"owl\""));
}

TEST_F(EvalTest, StoredOnesAreListedAndShown) {
  ASSERT_EQ(Cli({"evaluation", "list", "pets:3"}), 0) << err_;
  EXPECT_EQ(state().evaluations_listed[0].task(), "pets");
  EXPECT_EQ(state().evaluations_listed[0].version(), 3);
  EXPECT_THAT(out_, HasSubstr("pets:3"));
  EXPECT_THAT(out_, HasSubstr("+25.0"));
  EXPECT_NE(Cli({"evaluation", "list", "pets@beta"}), 0);
  EXPECT_THAT(err_, HasSubstr("names an alias"));

  ASSERT_EQ(Cli({"evaluation", "show", "1"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("sketches"));
  EXPECT_THAT(out_, Not(HasSubstr("ANSWERED AS")));
  ASSERT_EQ(Cli({"evaluation", "show", "1", "--confusion"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("dog    dog 3, cat 1"));
  ASSERT_EQ(Cli({"-o", "json", "evaluation", "show", "1"}), 0);
  EXPECT_EQ(Json()["result"]["confusion"][1]["images"], 1);
  EXPECT_NE(Cli({"evaluation", "show", "7"}), 0);
  EXPECT_THAT(err_, HasSubstr("no evaluation 7"));
}

TEST_F(EvalTest, JobsOfBothKindsStandInOneTable) {
  JobEnds(v1::JOB_STATE_SUCCEEDED);
  ASSERT_EQ(Cli({"eval", "pets:3", "sketches", "--no-wait"}), 0) << err_;
  ASSERT_EQ(Cli({"job", "list"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("pets:3 on sketches  test 75.0%"));
  ASSERT_EQ(Cli({"job", "show", "1"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("scores"));
  EXPECT_THAT(out_, Not(HasSubstr("optimizer")));
}

}  // namespace
}  // namespace promptd::client
