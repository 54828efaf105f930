// promptctl embed against the fake server.
#include "client/embed.h"

#include <filesystem>
#include <iostream>
#include <sstream>

#include "common/file.h"
#include "gmock/gmock.h"
#include "tests/client/cli_fixture.h"
#include "weights/safetensors.h"

namespace promptd::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EmbedTest : public CliFixture {
 protected:
  std::string File(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomically(Path(name), bytes).ok());
    return Path(name);
  }
};

TEST_F(EmbedTest, ImagesShowNormAndFirstValues) {
  const std::string a = File("a.jpg", "bytes");
  const std::string b = File("b.jpg", "bytes");
  const std::string c = File("c.jpg", "bytes");
  ASSERT_EQ(Cli({"embed", "image", a, b, c, "--encoder", "embedded"}), 0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("FILE"));
  EXPECT_THAT(out_, HasSubstr(a + "  "));
  EXPECT_THAT(out_, HasSubstr("5.0000  +0.6000 +0.8000 ... 2\n"));
  EXPECT_THAT(err_, HasSubstr("3 images with encoder 0123456789ab"));
  ASSERT_EQ(state().embedded_images.size(), 2u);  // two images a call
  EXPECT_EQ(state().embedded_images[0].encoder(), "embedded");
  EXPECT_FALSE(state().embedded_images[0].no_cache());
  ASSERT_EQ(Cli({"embed", "image", a, "--no-cache"}), 0) << err_;
  EXPECT_TRUE(state().embedded_images[2].no_cache());
}

TEST_F(EmbedTest, ABadImageIsNamedAndFailsTheCommand) {
  const std::string good = File("good.jpg", "bytes");
  const std::string broken =
      File("a long name of a file, in full all the same, broken.jpg", "broken");
  EXPECT_EQ(
      Cli({"embed", "image", good, broken, Path("none.jpg"), "-o", "json"}), 1);
  const nlohmann::json items = Json()["embeddings"];
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0]["file"], good);
  EXPECT_EQ(items[0]["norm"], 5.0);
  EXPECT_EQ(items[0]["values"].size(), 2u);
  EXPECT_EQ(items[1]["error"]["reason"], "IMAGE_TRUNCATED");
  EXPECT_EQ(items[2]["error"]["reason"], "FILE_NOT_FOUND");
  EXPECT_THAT(err_, HasSubstr("IMAGES_FAILED"));
  EXPECT_THAT(err_, HasSubstr("2 of 3 images could not be embedded"));
  EXPECT_THAT(err_, HasSubstr(broken));

  EXPECT_EQ(Cli({"embed", "image", broken, "--out", Path("x.safetensors")}), 1);
  EXPECT_THAT(out_, HasSubstr("cannot be embedded (IMAGE_TRUNCATED)"));
  EXPECT_THAT(err_, HasSubstr("nothing was written"));
  EXPECT_FALSE(std::filesystem::exists(Path("x.safetensors")));
}

TEST_F(EmbedTest, TextsAreSentAsTheyAre) {
  ASSERT_EQ(Cli({"embed", "text", "A rose", "", "two\twords"}), 0) << err_;
  ASSERT_EQ(state().embedded_texts.size(), 2u);  // two texts a call
  EXPECT_THAT(state().embedded_texts[0].texts(), ElementsAre("A rose", ""));
  EXPECT_FALSE(state().embedded_texts[0].truncate());
  EXPECT_THAT(state().embedded_texts[1].texts(), ElementsAre("two\twords"));
}

TEST_F(EmbedTest, LongTextsAreRefusedOrCut) {
  const std::string text(60, 'x');
  EXPECT_EQ(Cli({"embed", "text", "a", text}), 1);
  EXPECT_THAT(out_, HasSubstr(std::string(37, 'x') + "...  -"));
  EXPECT_THAT(out_, HasSubstr("TEXT_TOO_LONG"));
  EXPECT_THAT(err_, HasSubstr("TEXTS_FAILED"));
  EXPECT_EQ(Cli({"embed", "text", "a", text, "--truncate"}), 0) << err_;
}

TEST_F(EmbedTest, LinesComeFromAFileOrStandardInput) {
  const std::string file = File("texts.txt", "one\r\n\nthree \xff\nfour");
  EXPECT_EQ(Cli({"embed", "text", "--file", file, "-o", "json"}), 1);
  const nlohmann::json items = Json()["embeddings"];
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0]["text"], "one");
  EXPECT_EQ(items[1]["text"], "");
  EXPECT_EQ(items[2]["error"]["reason"], "BAD_UTF8");
  EXPECT_EQ(items[3]["text"], "four");

  std::istringstream input("from input\n");
  std::streambuf* const before = std::cin.rdbuf(input.rdbuf());
  const int code = Cli({"embed", "text", "-"});
  std::cin.rdbuf(before);
  EXPECT_EQ(code, 0) << err_;
  EXPECT_EQ(state().embedded_texts.back().texts(0), "from input");
  EXPECT_EQ(Cli({"embed", "text", "--file", File("empty.txt", "")}), 1);
  EXPECT_THAT(err_, HasSubstr("NO_TEXTS"));
}

TEST_F(EmbedTest, OutIsSafetensorsAndNotOverwritten) {
  const std::string out = Path("texts.safetensors");
  ASSERT_EQ(Cli({"embed", "text", "a", "b", "c", "--out", out}), 0) << err_;
  EXPECT_EQ(out_, out + "\n");
  const auto file = weights::Safetensors::FromFile(out);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto features = file->Floats("features");
  ASSERT_TRUE(features.ok()) << features.status();
  EXPECT_THAT(features->shape, ElementsAre(3, 2));
  EXPECT_EQ(features->values[5], 0.8f);
  EXPECT_EQ(file->metadata().at("encoder_digest"), "0123456789abcdef");
  EXPECT_EQ(file->metadata().at("features_of"), "texts");
  EXPECT_EQ(Cli({"embed", "text", "a", "--out", out}), 1);
  EXPECT_THAT(err_, HasSubstr("FILE_EXISTS"));
  ASSERT_EQ(Cli({"embed", "text", "a", "--out", out, "--force", "-o", "json"}),
            0);
  EXPECT_EQ(Json()["rows"], 1);
  EXPECT_EQ(Json()["columns"], 2);
}

TEST_F(EmbedTest, FeaturesOfTwoEncodersAreNeverMixed) {
  state().encoder_changes = true;
  EXPECT_EQ(Cli({"embed", "text", "a", "b"}), 0) << err_;
  EXPECT_EQ(Cli({"embed", "text", "a", "b", "c"}), 1);
  EXPECT_THAT(err_, HasSubstr("ENCODER_CHANGED"));
}

}  // namespace
}  // namespace promptd::client
