// promptctl version tag|lineage|derived|delete, task delete and gc.
#include "common/file.h"
#include "gmock/gmock.h"
#include "promptd/v1/prompt.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using VersionCareCliTest = CliFixture;

TEST_F(VersionCareCliTest, TagsAreKeysWithOrWithoutValues) {
  ASSERT_EQ(
      Cli({"version", "tag", "pets:3", "by=ann=e", "night", "--remove", "old"}),
      0)
      << err_;
  const v1::ChangeVersionTagsRequest& request = state().tagged.at(0);
  EXPECT_EQ(request.version(), 3);
  EXPECT_EQ(request.set().at("by"), "ann=e");
  EXPECT_EQ(request.set().at("night"), "");
  EXPECT_EQ(request.remove(0), "old");
  EXPECT_EQ(out_, "by=ann=e, night\n");
  ASSERT_EQ(Cli({"version", "tag", "pets:3", "night", "-o", "json"}), 0);
  EXPECT_EQ(Json()["night"], "");
  EXPECT_EQ(Cli({"version", "tag", "pets", "night"}), 2);
  EXPECT_EQ(Cli({"version", "tag", "pets:3"}), 2);
  ASSERT_EQ(Cli({"version", "list", "pets", "--tag", "by=ann", "--tag", "x"}),
            0)
      << err_;
  EXPECT_THAT(state().versions_listed.at(0).tags(), ElementsAre("by=ann", "x"));
}

TEST_F(VersionCareCliTest, LineageSaysWhatIsGone) {
  v1::GetLineageResponse& lineage = state().lineage;
  lineage.mutable_version()->set_task("birds");
  lineage.mutable_version()->set_version(2);
  lineage.mutable_version()->set_dataset("birds");
  lineage.set_encoder_held(true);
  v1::VersionAncestor* source = lineage.add_sources();
  source->set_task("pets");
  source->set_version(3);
  source->set_digest("0123456789abcdef");
  lineage.add_sources()->set_version(1);
  ASSERT_EQ(Cli({"version", "lineage", "birds:2"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("(deleted)"));
  EXPECT_THAT(out_, HasSubstr("pets:3  0123456789ab"));
  EXPECT_THAT(out_, HasSubstr("a deleted task:1"));
  ASSERT_EQ(Cli({"version", "lineage", "birds:2", "-o", "json"}), 0);
  EXPECT_EQ(Json()["sources"][0]["task"], "pets");
}

TEST_F(VersionCareCliTest, DerivedVersionsOfExactlyOneOrigin) {
  ASSERT_EQ(Cli({"version", "derived", "--dataset", "pets"}), 0) << err_;
  EXPECT_EQ(state().derived.at(0).dataset(), "pets");
  EXPECT_THAT(out_, HasSubstr("birds"));
  ASSERT_EQ(Cli({"version", "derived", "--version", "pets@beta"}), 0) << err_;
  EXPECT_EQ(state().derived.at(1).source().alias(), "beta");
  EXPECT_EQ(Cli({"version", "derived"}), 2);
  EXPECT_EQ(Cli({"version", "derived", "--dataset", "a", "--version", "b"}), 2);
}

TEST_F(VersionCareCliTest, DeletesVersionsByNumberAndTasksByName) {
  ASSERT_EQ(Cli({"version", "delete", "pets:2"}), 0) << err_;
  EXPECT_EQ(Cli({"version", "delete", "pets@beta"}), 2);
  ASSERT_EQ(Cli({"task", "delete", "pets", "-o", "json"}), 0) << err_;
  EXPECT_EQ(Json()["deleted"], "pets");
  EXPECT_THAT(state().deleted, ElementsAre("pets:2", "pets"));
}

TEST_F(VersionCareCliTest, AnArchiveIsWrittenWholeAndNotOverAnotherFile) {
  state().archive = std::string("index.json\0bytes", 16);
  const std::string file = Path("pets.tar");
  const std::vector<std::string> line = {"version", "export", "pets:3",
                                         "--out",   file,     "--format",
                                         "archive", "-o",     "json"};
  ASSERT_EQ(Cli(line), 0) << err_;
  EXPECT_EQ(Json()["bytes"], 16);
  EXPECT_EQ(*ReadFile(file, 100), state().archive);
  EXPECT_NE(Cli(line), 0);
  EXPECT_EQ(Cli({"version", "export", "pets:9", "--out", Path("none"),
                 "--format", "archive"}),
            3);
  EXPECT_FALSE(ReadFile(Path("none"), 100).ok());
}

TEST_F(VersionCareCliTest, AnArchiveIsToldByItsContentAndSaysItAll) {
  // More than a chunk.
  const std::string bytes =
      std::string("index.json\0", 11) + std::string(3 << 20, 'x');
  const std::string file = Path("anything");
  ASSERT_TRUE(WriteFileAtomically(file, bytes).ok());
  ASSERT_EQ(Cli({"version", "import", file}), 0) << err_;
  EXPECT_EQ(state().imported.at(0), bytes);
  EXPECT_EQ(state().imported_task, "");
  ASSERT_EQ(Cli({"version", "import", file, "-t", "copies"}), 0) << err_;
  EXPECT_EQ(state().imported_task, "copies");
  EXPECT_THAT(err_, HasSubstr("had this version already"));
  EXPECT_EQ(Cli({"version", "import", file, "-t", "x", "--classes", "a"}), 2);
  ASSERT_TRUE(WriteFileAtomically(Path("other"), "no archive").ok());
  EXPECT_EQ(Cli({"version", "import", Path("other")}), 2);
  EXPECT_THAT(err_, HasSubstr("--task is required"));
}

TEST_F(VersionCareCliTest, GarbageIsCollectedOrOnlyCounted) {
  ASSERT_EQ(Cli({"gc", "--dry-run", "--grace", "2h"}), 0) << err_;
  EXPECT_TRUE(state().collected.at(0).dry_run());
  EXPECT_EQ(state().collected.at(0).grace().seconds(), 7200);
  EXPECT_THAT(out_, HasSubstr("would be deleted  3"));
  ASSERT_EQ(Cli({"gc", "-o", "json"}), 0) << err_;
  EXPECT_FALSE(state().collected.at(1).has_grace());
  EXPECT_EQ(Json()["deleted"]["bytes"], 2'000'000);
  EXPECT_EQ(Cli({"gc", "--grace", "soon"}), 2);
}

}  // namespace
}  // namespace promptd::client
