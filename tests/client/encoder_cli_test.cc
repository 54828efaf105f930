// promptctl encoder verify and remove, with real folders and a fake server.
#include <filesystem>
#include <string>

#include "client/encoder_remove.h"
#include "common/file.h"
#include "gmock/gmock.h"
#include "tests/client/cli_fixture.h"
#include "weights/encoder_folder.h"

namespace promptd::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class EncoderCliTest : public CliFixture {
 protected:
  void SetUp() override {
    MakeEncoder("vit-b-32");
    MakeEncoder("rn50");
  }

  std::string Folder(const std::string& name) const {
    return Path("encoders/" + name);
  }
  // Three files with a digest; no verb here parses them.
  void MakeEncoder(const std::string& name) {
    std::filesystem::create_directories(Folder(name));
    for (const char* file :
         {weights::kEncoderConfigFile, weights::kEncoderMergesFile,
          weights::kEncoderWeightsFile}) {
      ASSERT_TRUE(WriteFileAtomically(Folder(name) + "/" + file, name).ok());
    }
  }
  int Remove(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> line = {"encoder", "remove", name, "--data-dir",
                                     folder_.path()};
    line.insert(line.end(), more.begin(), more.end());
    return Cli(line);
  }
  bool Exists(const std::string& name) const {
    return std::filesystem::exists(Folder(name));
  }
  // What lies in the folder of encoders, hidden entries too.
  int Entries() const {
    int count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(Path("encoders"))) {
      count += entry.exists() ? 1 : 0;
    }
    return count;
  }
};

TEST_F(EncoderCliTest, VerifyShowsEveryFigureAndPasses) {
  ASSERT_EQ(Cli({"encoder", "verify", "embedded"}), 0) << err_;
  for (const char* text :
       {"image features", "text features", "1.2e-06", "1.0e-04", "0.999999",
        "0.999900", "passed", "open_clip 3.3.0", "unchanged"}) {
    EXPECT_THAT(out_, HasSubstr(text));
  }
  EXPECT_THAT(out_, Not(HasSubstr("FAILED")));
  ASSERT_EQ(Cli({"encoder", "verify", "-o", "json"}), 0) << err_;
  EXPECT_EQ(Json()["passed"], true);
  EXPECT_EQ(Json()["checks"].size(), 2u);
  EXPECT_EQ(Json()["checks"][0]["subject"], "image features");
}

TEST_F(EncoderCliTest, VerifyFailsTheShellWhenACheckDoes) {
  state().verification.mutable_checks(1)->set_passed(false);
  state().verification.set_passed(false);
  EXPECT_EQ(Cli({"encoder", "verify"}), 1);
  EXPECT_THAT(out_, HasSubstr("FAILED"));
  EXPECT_THAT(err_, HasSubstr("its text features are not the golden ones"));
  EXPECT_THAT(err_, Not(HasSubstr("image features")));
  EXPECT_THAT(err_, HasSubstr("ENCODER_VERIFY_FAILED"));
}

TEST_F(EncoderCliTest, VerifyFailsTheShellWhenTheFilesChanged) {
  state().verification.set_files_unchanged(false);
  state().verification.set_passed(false);
  EXPECT_EQ(Cli({"encoder", "verify"}), 1);
  EXPECT_THAT(out_,
              HasSubstr("CHANGED, they have the digest 0123456789abcdef"));
  EXPECT_THAT(err_, HasSubstr("its files changed since it was loaded"));
  state().verification.clear_digest_on_disk();
  EXPECT_EQ(Cli({"encoder", "verify"}), 1);
  EXPECT_THAT(out_, HasSubstr("CANNOT BE READ"));
  EXPECT_EQ(Cli({"encoder", "verify", "-o", "json"}), 1);
  EXPECT_EQ(Json()["passed"], false);
  EXPECT_THAT(err_, HasSubstr("\"ENCODER_VERIFY_FAILED\""));
}

TEST_F(EncoderCliTest, VerifyOfAnUnknownEncoderIsNotFound) {
  EXPECT_EQ(Cli({"encoder", "verify", "none"}), 3);
  EXPECT_THAT(err_, HasSubstr("ENCODER_NOT_FOUND"));
}

TEST_F(EncoderCliTest, RemoveTakesOneAndLeavesTheOthers) {
  const std::string digest =
      weights::HashEncoderFolder(Folder("vit-b-32")).value();
  ASSERT_EQ(Remove("vit-b-32"), 0) << err_;
  EXPECT_FALSE(Exists("vit-b-32"));
  EXPECT_TRUE(Exists("rn50"));
  EXPECT_EQ(Entries(), 1);
  EXPECT_THAT(out_, HasSubstr(digest));
  EXPECT_THAT(err_, HasSubstr("until its next start"));
  ASSERT_EQ(Remove("rn50", {"-o", "json"}), 0) << err_;
  EXPECT_EQ(Json()["name"], "rn50");
  EXPECT_EQ(Json()["folder"], Folder("rn50"));
  EXPECT_EQ(Json()["tasks_checked"], true);
  EXPECT_EQ(Entries(), 0);
}

TEST_F(EncoderCliTest, RemoveListsTheEncodersThereAre) {
  EXPECT_EQ(Remove("vit"), 3);
  EXPECT_THAT(err_, HasSubstr("there are rn50, vit-b-32"));
  EXPECT_EQ(Entries(), 2);
  EXPECT_EQ(Cli({"encoder", "remove", "vit", "--data-dir", Path("none")}), 3);
  EXPECT_THAT(err_, HasSubstr("there is none at all"));
}

TEST_F(EncoderCliTest, RemoveRefusesWhatIsNoName) {
  for (const char* name : {"../rn50", "rn50/", "/rn50", ".", "..", ".hidden",
                           "encoders/rn50", "RN50", ""}) {
    EXPECT_EQ(Remove(name, {"--force"}), 1) << name;
    EXPECT_THAT(err_, HasSubstr("BAD_ENCODER_NAME")) << name;
  }
  EXPECT_EQ(Entries(), 2);
  EXPECT_TRUE(std::filesystem::exists(Path("encoders")));
}

TEST_F(EncoderCliTest, RemoveRefusesTheEmbeddedOneButNotAnImportedNamesake) {
  EXPECT_EQ(Remove("embedded", {"--force"}), 1);
  EXPECT_THAT(err_, HasSubstr("ENCODER_NOT_REMOVABLE"));
  MakeEncoder("embedded");
  EXPECT_EQ(Remove("embedded"), 0) << err_;
  EXPECT_FALSE(Exists("embedded"));
}

TEST_F(EncoderCliTest, RemoveNamesTheTasksThatUseIt) {
  state().task_encoder_digest =
      weights::HashEncoderFolder(Folder("rn50")).value();
  EXPECT_EQ(Remove("rn50"), 1);
  EXPECT_THAT(err_, HasSubstr("ENCODER_IN_USE"));
  EXPECT_THAT(err_, HasSubstr("cars, pets"));
  EXPECT_TRUE(Exists("rn50"));
  EXPECT_EQ(Entries(), 2);
  // Other encoders are not theirs.
  EXPECT_EQ(Remove("vit-b-32"), 0) << err_;
  EXPECT_EQ(Remove("rn50", {"--force"}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("warning: without their encoder: cars, pets"));
  EXPECT_FALSE(Exists("rn50"));
}

TEST_F(EncoderCliTest, RemoveNeedsForceWhereNobodyCanTellOfTasks) {
  // Port 1 refuses.
  nowhere_ = true;
  EXPECT_EQ(Remove("rn50"), 1);
  EXPECT_THAT(err_, HasSubstr("TASKS_NOT_CHECKED"));
  EXPECT_THAT(err_, HasSubstr("cannot reach 127.0.0.1:1"));
  EXPECT_TRUE(Exists("rn50"));
  EXPECT_EQ(Remove("rn50", {"--force"}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("warning: tasks were not checked"));
  EXPECT_FALSE(Exists("rn50"));
  nowhere_ = false;

  // An encoder without all its files has no digest to ask for.
  std::filesystem::remove(Folder("vit-b-32") + "/" +
                          weights::kEncoderMergesFile);
  EXPECT_EQ(Remove("vit-b-32"), 1);
  EXPECT_THAT(err_, HasSubstr("TASKS_NOT_CHECKED"));
  EXPECT_THAT(err_, HasSubstr(weights::kEncoderMergesFile));
  EXPECT_EQ(Remove("vit-b-32", {"--force"}), 0) << err_;
  EXPECT_EQ(Entries(), 0);
}

TEST_F(EncoderCliTest, RemoveFinishesWhatAKilledOneBegan) {
  std::filesystem::rename(Folder("vit-b-32"), Folder(".remove-1234"));
  EXPECT_EQ(Entries(), 2);
  EXPECT_EQ(Remove("vit-b-32"), 3);
  EXPECT_THAT(err_, HasSubstr("there are rn50"));
  EXPECT_EQ(Entries(), 1);
}

}  // namespace
}  // namespace promptd::client
