// task create, version import and version export over a real channel.
#include "weights/context_file.h"

#include <filesystem>

#include "client/context_import.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "promptd/v1/training.pb.h"
#include "tests/client/cli_fixture.h"
#include "weights/safetensors.h"

namespace promptd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

FloatTensor Context(std::vector<int64_t> shape) {
  FloatTensor tensor;
  int64_t count = 1;
  for (const int64_t dimension : shape) count *= dimension;
  tensor.shape = std::move(shape);
  for (int64_t i = 0; i < count; ++i) {
    tensor.values.push_back(static_cast<float>(i) / 7);
  }
  return tensor;
}

class ContextCliTest : public CliFixture {
 protected:
  void SetUp() override {
    v1::TrainingJob job;
    job.set_id(1);
    job.set_state(v1::JOB_STATE_SUCCEEDED);
    job.set_done(true);
    job.set_version(1);
    state().jobs = {job};
    v1::JobEvent event;
    event.set_sequence(1);
    event.set_state(v1::JOB_STATE_SUCCEEDED);
    state().events = {event};
    state().no_tasks = {"birds"};
  }

  std::string Written(const std::string& name, const std::string& bytes) {
    std::error_code ignored;
    std::filesystem::create_directories(
        std::filesystem::path(Path(name)).parent_path(), ignored);
    EXPECT_TRUE(WriteFileAtomically(Path(name), bytes).ok());
    return Path(name);
  }

  v1::TrainingSpec Created() {
    EXPECT_EQ(state().created.size(), 1u) << err_;
    return state().created.empty() ? v1::TrainingSpec()
                                   : state().created[0].spec();
  }
};

TEST_F(ContextCliTest, TaskCreateAppliesAVersionToAList) {
  state().version_spec.set_encoder("vit-b-32");
  ASSERT_EQ(Cli({"task", "create", "birds", "--from-version", "pets@beta",
                 "--classes", "owl, great tit ,wren"}),
            0)
      << err_;
  const v1::TrainingSpec spec = Created();
  EXPECT_EQ(spec.task(), "birds");
  EXPECT_TRUE(spec.has_epochs());
  EXPECT_EQ(spec.epochs(), 0);
  EXPECT_EQ(spec.dataset(), "");
  EXPECT_EQ(spec.encoder(), "vit-b-32");
  EXPECT_EQ(spec.initial_version().task(), "pets");
  EXPECT_EQ(spec.initial_version().version(), 1);  // pinned
  EXPECT_THAT(spec.class_names(), ElementsAre("owl", "great tit", "wren"));
  EXPECT_THAT(out_, HasSubstr("birds:1"));
  EXPECT_THAT(out_, HasSubstr("not evaluated"));
}

TEST_F(ContextCliTest, TaskCreateTakesADatasetOrAFile) {
  const std::string names = Written("names.txt", "owl\r\ngreat tit\nwren\n");
  ASSERT_EQ(Cli({"task", "create", "birds", "--from-version", "pets",
                 "--classes-file", names}),
            0)
      << err_;
  EXPECT_THAT(Created().class_names(), ElementsAre("owl", "great tit", "wren"));
  state().created.clear();
  ASSERT_EQ(Cli({"task", "create", "birds", "--from-version", "pets:1",
                 "--dataset", "birds"}),
            0)
      << err_;
  EXPECT_EQ(Created().dataset(), "birds");
  EXPECT_EQ(Created().class_names_size(), 0);
}

TEST_F(ContextCliTest, TaskCreateMakesNewTasksOnly) {
  EXPECT_EQ(Cli({"task", "create", "pets", "--from-version", "pets:1",
                 "--classes", "a,b"}),
            1);
  EXPECT_THAT(err_, HasSubstr("TASK_EXISTS"));
  EXPECT_TRUE(state().created.empty());
  for (const std::vector<std::string>& classes :
       std::vector<std::vector<std::string>>{
           {}, {"--classes", "a", "--dataset", "d"}}) {
    std::vector<std::string> line = {"task", "create", "birds",
                                     "--from-version", "pets"};
    line.insert(line.end(), classes.begin(), classes.end());
    EXPECT_EQ(Cli(line), 2);
    EXPECT_THAT(err_, HasSubstr("in one way"));
  }
}

TEST_F(ContextCliTest, ImportSendsWhatTheFileHolds) {
  const FloatTensor context = Context({4, 8});
  const std::string file =
      Written("model.pth.tar-50", weights::WriteCoopCheckpoint(context, 50));
  ASSERT_EQ(Cli({"version", "import", file, "--task", "birds", "--dataset",
                 "birds", "--class-position", "middle", "--encoder", "e"}),
            0)
      << err_;
  ASSERT_EQ(state().uploaded_contexts.size(), 1u);
  const std::string& sent = state().uploaded_contexts[0];
  const auto tensor = weights::Safetensors::FromBytes(sent, "sent");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->Floats("ctx")->values, context.values);
  const v1::TrainingSpec spec = Created();
  EXPECT_EQ(spec.initial_context_digest(), Sha256Hex(sent));
  EXPECT_EQ(spec.epochs(), 0);
  EXPECT_EQ(spec.class_position(), v1::CLASS_POSITION_MIDDLE);
  EXPECT_EQ(spec.encoder(), "e");
  EXPECT_THAT(err_, HasSubstr("CoOp checkpoint, 4 x 8, epoch 50"));
}

TEST_F(ContextCliTest, ImportTakesTheTasksEncoderAndLargeContexts) {
  const FloatTensor context = Context({700, 4, 128});  // more than one chunk
  const std::string file =
      Written("large.bin", weights::WriteContextNpz(context));
  ASSERT_EQ(Cli({"version", "import", file, "-t", "pets", "--classes", "a,b"}),
            0)
      << err_;
  EXPECT_EQ(Created().encoder(), "large");
  EXPECT_GT(state().uploaded_contexts[0].size(), size_t{1} << 20);
  EXPECT_THAT(err_, HasSubstr("npz, 700 x 4 x 128"));
}

TEST_F(ContextCliTest, ImportRefusesBeforeAnythingIsSent) {
  const std::string bad = Written("bad.npz", "PK not an archive");
  EXPECT_EQ(Cli({"version", "import", bad, "-t", "t", "--classes", "a"}), 1);
  EXPECT_THAT(err_, HasSubstr("ZIP_NOT_AN_ARCHIVE"));
  const std::string text = Written("notes.txt", "hello");
  EXPECT_EQ(Cli({"version", "import", text, "-t", "t", "--classes", "a"}), 1);
  EXPECT_THAT(err_, HasSubstr("UNKNOWN_CONTEXT_FILE"));
  EXPECT_EQ(
      Cli({"version", "import", Path("none"), "-t", "t", "--classes", "a"}), 3);
  EXPECT_TRUE(state().uploaded_contexts.empty());
  EXPECT_TRUE(state().created.empty());
}

TEST_F(ContextCliTest, AFolderMustMeanOneFile) {
  std::filesystem::create_directories(Path("empty"));
  EXPECT_EQ(ErrorReason(FindContextFile(Path("empty"), std::nullopt).status()),
            "CONTEXT_NOT_FOUND");
  Written("run/log.txt", "log");
  const std::string fifty = Written("run/prompt_learner/model.pth.tar-50", "a");
  EXPECT_EQ(*FindContextFile(Path("run"), std::nullopt), fifty);
  const std::string other =
      Written("run/prompt_learner/model.pth.tar-200", "b");
  const auto several = FindContextFile(Path("run"), std::nullopt);
  EXPECT_EQ(ErrorReason(several.status()), "SEVERAL_CONTEXTS");
  EXPECT_THAT(std::string(several.status().message()), HasSubstr(fifty));
  EXPECT_THAT(std::string(several.status().message()), HasSubstr(other));
  EXPECT_EQ(*FindContextFile(Path("run"), 200), other);
  EXPECT_EQ(ErrorReason(FindContextFile(Path("run"), 7).status()),
            "CONTEXT_NOT_FOUND");
}

TEST_F(ContextCliTest, TrainStartsFromAFile) {
  const std::string file =
      Written("ctx.npz", weights::WriteContextNpz(Context({4, 8})));
  ASSERT_EQ(Cli({"train", "pets", "--from-file", file}), 0) << err_;
  EXPECT_EQ(Created().initial_context_digest(),
            Sha256Hex(state().uploaded_contexts[0]));
  EXPECT_FALSE(Created().has_epochs());
  EXPECT_EQ(Cli({"train", "pets", "--from-file", file, "--from", "pets"}), 2);
}

TEST_F(ContextCliTest, ExportsForOtherPrograms) {
  const FloatTensor context = Context({2, 4, 8});
  state().context = *weights::WriteSafetensors({{"ctx", context}});
  state().context_digest = Sha256Hex(state().context);
  state().version_spec.set_epochs(200);
  const auto exported = [&](const std::string& format,
                            const std::string& file) {
    EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", Path(format),
                   "--format", format, "-o", "json"}),
              0)
        << err_;
    EXPECT_EQ(Json()["context"], Path(format) + "/" + file);
    const auto read = weights::ReadContextFile(Path(format) + "/" + file);
    EXPECT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->context.shape, context.shape);
    EXPECT_EQ(read->context.values, context.values);
    return read->epoch.value_or(-1);
  };
  EXPECT_EQ(exported("npz", "context.npz"), -1);
  EXPECT_EQ(exported("coop", "prompt_learner/model.pth.tar-200"), 200);
  EXPECT_EQ(exported("safetensors", "context.safetensors"), -1);
  EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", Path("coop"),
                 "--format", "coop"}),
            1);
  EXPECT_THAT(err_, HasSubstr("FILE_EXISTS"));
  EXPECT_EQ(Cli({"version", "export", "pets:1", "--out", Path("x"), "--format",
                 "onnx"}),
            2);
}

// A version without an evaluation is shown as what it is.
TEST_F(ContextCliTest, ShowsVersionsThatNothingScored) {
  state().version_spec.add_class_names("owl");
  state().version_spec.set_initial_context_digest(std::string(64, 'a'));
  ASSERT_EQ(Cli({"version", "show", "birds:1"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("not evaluated"));
  EXPECT_THAT(out_, HasSubstr("none, 1 class listed"));
  EXPECT_THAT(out_, HasSubstr("from a file  aaaaaaaaaaaa"));
  EXPECT_THAT(out_, Not(HasSubstr("zero-shot")));
}

}  // namespace
}  // namespace promptd::client
