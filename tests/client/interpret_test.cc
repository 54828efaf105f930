// promptctl version interpret against the fake server.
#include "client/interpret_view.h"
#include "gmock/gmock.h"
#include "promptd/v1/prompt.pb.h"
#include "tests/client/cli_fixture.h"

namespace promptd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class InterpretTest : public CliFixture {
 protected:
  // A vector near two words.
  void AddVector(const std::string& class_name, int position, double norm) {
    auto* vector = state().interpretation.add_vectors();
    vector->set_class_name(class_name);
    vector->set_position(position);
    vector->set_norm(norm);
    for (const char* token : {"photo</w>", "pho"}) {
      v1::NearestWord* word = vector->add_words();
      word->set_token(token);
      word->set_token_id(7);
      word->set_distance(vector->words_size() * 0.5);
    }
  }
};

TEST(ReadableTokenTest, ShowsWordsPiecesAndMarkers) {
  EXPECT_EQ(ReadableToken("photo</w>"), "photo");
  EXPECT_EQ(ReadableToken("pho"), "pho-");
  EXPECT_EQ(ReadableToken("</w>"), "");
  EXPECT_EQ(ReadableToken("<start_of_text>"), "<start_of_text>");
  EXPECT_EQ(ReadableToken("<|endoftext|>"), "<|endoftext|>");
  EXPECT_EQ(ReadableToken("<"), "<-");
  EXPECT_EQ(ReadableToken("<></w>"), "<>");
}

TEST_F(InterpretTest, ASharedContextHasNoColumnOfClasses) {
  AddVector("", 1, 0.25);
  AddVector("", 2, 12.5);
  ASSERT_EQ(Cli({"version", "interpret", "pets:3"}), 0) << err_;
  EXPECT_EQ(out_,
            "POSITION  NORM     WORDS\n"
            "1         0.2500   photo 0.5000, pho- 1.0000\n"
            "2         12.5000  photo 0.5000, pho- 1.0000\n");
  ASSERT_EQ(state().interpreted.size(), 1u);
  EXPECT_EQ(state().interpreted[0].task(), "pets");
  EXPECT_EQ(state().interpreted[0].version(), 3);
  EXPECT_EQ(state().interpreted[0].top_k(), 3);
  EXPECT_EQ(state().interpreted[0].class_names_size(), 0);
}

TEST_F(InterpretTest, ClassesAreAskedForByName) {
  AddVector("cat", 1, 0.25);
  ASSERT_EQ(Cli({"version", "interpret", "--class", "cat", "--class",
                 "ice cream", "pets@beta", "--top-k", "5"}),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("CLASS  POSITION"));
  EXPECT_THAT(out_, HasSubstr("\ncat    1 "));
  const v1::InterpretVersionRequest& request = state().interpreted.at(0);
  EXPECT_EQ(request.alias(), "beta");
  EXPECT_EQ(request.top_k(), 5);
  EXPECT_THAT(request.class_names(), ElementsAre("cat", "ice cream"));
}

TEST_F(InterpretTest, JsonIsTheMessageItself) {
  state().interpretation.set_task("pets");
  state().interpretation.set_version(3);
  AddVector("cat", 1, 0.25);
  ASSERT_EQ(Cli({"version", "interpret", "pets", "-o", "json"}), 0) << err_;
  EXPECT_EQ(state().interpreted.at(0).selector_case(),
            v1::InterpretVersionRequest::SELECTOR_NOT_SET);
  EXPECT_EQ(Json()["task"], "pets");
  EXPECT_EQ(Json()["version"], 3);
  const nlohmann::json vector = Json()["vectors"][0];
  EXPECT_EQ(vector["class_name"], "cat");
  EXPECT_EQ(vector["position"], 1);
  EXPECT_EQ(vector["words"][1]["token"], "pho");
  EXPECT_EQ(vector["words"][1]["token_id"], 7);
  EXPECT_EQ(vector["words"][1]["distance"], 1.0);
}

TEST_F(InterpretTest, RefusalsArePassedOn) {
  EXPECT_EQ(Cli({"version", "interpret", "pets:3", "--top-k", "0"}), 2);
  EXPECT_EQ(Cli({"version", "interpret", "pets:x"}), 2);
  EXPECT_EQ(Cli({"version", "interpret"}), 2);
  EXPECT_TRUE(state().interpreted.empty());
  state().fail = promptd::testing::RichError(
      grpc::StatusCode::INVALID_ARGUMENT, "UNKNOWN_CLASS",
      "\"cta\" is no class of pets:3: did you mean \"cat\"?");
  EXPECT_EQ(Cli({"version", "interpret", "pets:3", "--class", "cta"}), 1);
  EXPECT_THAT(err_, HasSubstr("UNKNOWN_CLASS"));
  EXPECT_THAT(err_, HasSubstr("did you mean"));
}

TEST_F(InterpretTest, HelpSaysHowFarWordsCanBeTrusted) {
  EXPECT_EQ(Cli({"version", "interpret", "--help"}), 0);
  EXPECT_THAT(out_, HasSubstr("meaningful"));
}

}  // namespace
}  // namespace promptd::client
