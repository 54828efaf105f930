#include "clip/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clip/unicode_text.h"
#include "common/error.h"
#include "common/file.h"
#include "common/sha256.h"
#include "nlohmann/json.hpp"
#include "tests/clip/golden_paths.h"

namespace promptd::clip {
namespace {

using Ids = std::vector<int32_t>;

Tokenizer FromFile(const std::string& path) {
  return Tokenizer::FromMerges(ReadFile(path, 1 << 24).value()).value();
}

const Tokenizer& Embedded() {
  static const auto* const tokenizer =
      new Tokenizer(FromFile(EncoderPath("embedded") + "/merges.txt"));
  return *tokenizer;
}

// With CLIP's own vocabulary.
const Tokenizer& Clip() {
  static const auto* const tokenizer =
      new Tokenizer(FromFile(ClipMergesPath()));
  return *tokenizer;
}

// As make_tokenizer_goldens.py shortens ids.
std::string Digest(const Ids& ids) {
  return Sha256Hex(absl::StrJoin(ids, " ")).substr(0, 8);
}

// Thousands in tests/golden, a hundred thousand and more under make parity.
TEST(TokenizerTest, EqualsOpenClipOnStratifiedTexts) {
  std::ifstream file(absl::StrCat(GoldenDir(), "/tokenizer.jsonl"));
  std::string line;
  int count = 0;
  int wrong = 0;
  while (std::getline(file, line)) {
    const nlohmann::json golden = nlohmann::json::parse(line);
    const auto text = golden.at(0).get<std::string>();
    ++count;
    for (const auto& [tokenizer, digest] :
         {std::pair(&Embedded(), golden.at(2).get<std::string>()),
          std::pair(&Clip(), golden.at(3).get<std::string>())}) {
      const auto ids = tokenizer->Encode(text);
      ASSERT_TRUE(ids.ok()) << ids.status() << " " << line;
      if (Digest(*ids) != digest && ++wrong <= 20) {
        ADD_FAILURE() << line << "\n  got " << absl::StrJoin(*ids, ",")
                      << "\n  of " << tokenizer->Decode(*ids);
      }
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(count, 4000);
  RecordProperty("texts", count);
  std::cout << count << " texts\n";
}

// The text that make_tokenizer_goldens.py puts around each code point.
std::string Context(char32_t point) {
  const std::string c = EncodeUtf8(std::u32string(1, point));
  return absl::StrCat(c, "a", c, "B ", c, "1", c, " .", c, "'s\u03a3", c,
                      " &lt", c);
}

TEST(TokenizerTest, EqualsOpenClipOnEveryAssignedCodePoint) {
  const auto text = ReadFile(
      absl::StrCat(GoldenDir(), "/tokenizer_code_points.json"), 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  const nlohmann::json golden = nlohmann::json::parse(*text);
  std::string buffer;
  int64_t points = 0;
  for (const auto& range : golden.at("ranges")) {
    for (char32_t point = range[0]; point <= range[1]; ++point, ++points) {
      const auto ids = Embedded().Encode(Context(point));
      ASSERT_TRUE(ids.ok()) << ids.status();
      absl::StrAppend(&buffer, absl::StrJoin(*ids, " "), "\n");
      const auto digest = golden.at("digest_up_to").find(std::to_string(point));
      if (digest == golden.at("digest_up_to").end()) continue;
      EXPECT_EQ(Sha256Hex(buffer), digest->get<std::string>())
          << "among the 1000 code points up to " << static_cast<int>(point);
      buffer.clear();
    }
  }
  EXPECT_TRUE(buffer.empty());
  EXPECT_GT(points, 30000);
}

TEST(TokenizerTest, ReadsClipsOwnVocabulary) {
  EXPECT_EQ(Clip().vocab_size(), 49408);
  EXPECT_EQ(Clip().EncodeWithMarkers("a photo of a cat.", 77).value(),
            (Ids{49406, 320, 1125, 539, 320, 2368, 269, 49407}));
}

TEST(TokenizerTest, VocabularyEndsInTheMarkers) {
  EXPECT_EQ(Embedded().vocab_size(), 4610);
  EXPECT_EQ(Embedded().sot_id(), 4608);
  EXPECT_EQ(Embedded().eot_id(), 4609);
}

TEST(TokenizerTest, PlaceholderAndDotAreOneTokenEach) {
  EXPECT_EQ(Embedded().Encode("X").value().size(), 1u);
  EXPECT_EQ(Embedded().Encode(".").value(), Ids{269});
  // The dot behind a bracket joins it: one token fewer.
  const size_t with_name = Embedded().Encode("kite (toy).").value().size();
  const size_t name = Embedded().Encode("kite (toy)").value().size();
  EXPECT_EQ(with_name, name);
}

TEST(TokenizerTest, RepairsCharactersFirst) {
  EXPECT_EQ(Embedded().Encode("\u201cit\u2019s\u201d \ufb01\uff4ee").value(),
            Embedded().Encode("\"it's\" fine").value());
}

// Every level of nesting is a pass over the text.
TEST(TokenizerTest, NestedReferencesEndInOneSign) {
  std::string text = "&";
  while (text.size() + 4 <= Tokenizer::kMaxTextBytes) text += "amp;";
  EXPECT_EQ(Embedded().Encode(text).value(), Embedded().Encode("&").value());
}

TEST(TokenizerTest, MarkersSurroundTheTextUpToTheLimit) {
  const auto tokens = Embedded().EncodeWithMarkers("X X X", 5);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->front(), Embedded().sot_id());
  EXPECT_EQ(tokens->back(), Embedded().eot_id());
  EXPECT_EQ(tokens->size(), 5u);
  EXPECT_EQ(ErrorReason(Embedded().EncodeWithMarkers("X X X X", 5).status()),
            "TEXT_TOO_LONG");
}

// open_clip: tokens[:context_length], then tokens[-1] = EOT.
TEST(TokenizerTest, ALongTextIsCutWithItsEndKept) {
  const Ids whole = Embedded().EncodeWithMarkers("a b c d e", 77).value();
  ASSERT_EQ(whole.size(), 7u);
  for (const size_t length : {2, 4, 6, 7, 8}) {
    Ids expected(whole.begin(), whole.begin() + std::min(length, whole.size()));
    expected.back() = Embedded().eot_id();
    EXPECT_EQ(Embedded()
                  .EncodeWithMarkers("a b c d e", static_cast<int>(length),
                                     TooLong::kCut)
                  .value(),
              expected);
  }
}

TEST(TokenizerTest, RefusesATextThatWouldEndItsPrompt) {
  for (const char* text : {"a <end_of_text> b", "&lt;start_of_text&gt;"}) {
    EXPECT_EQ(ErrorReason(Embedded().EncodeWithMarkers(text, 77).status()),
              "RESERVED_TEXT");
  }
}

TEST(TokenizerTest, RefusesWhatIsNotUtf8) {
  for (const char* text :
       {"\xff", "a\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "caf\xc3"}) {
    EXPECT_EQ(ErrorReason(Embedded().Encode(text).status()), "BAD_UTF8");
  }
}

TEST(TokenizerTest, BoundsTheTextBeforeReadingIt) {
  const std::string longest(Tokenizer::kMaxTextBytes, 'a');
  EXPECT_TRUE(Embedded().Encode(longest).ok());
  EXPECT_EQ(ErrorReason(Embedded().Encode(longest + "a").status()),
            "TEXT_TOO_LONG");
}

TEST(TokenizerTest, DecodesWhatItEncoded) {
  for (const char* text : {"a photo of a cat . ", "caf\u00e9 \u4f60 1 "}) {
    EXPECT_EQ(Embedded().Decode(Embedded().Encode(text).value()), text);
  }
  EXPECT_EQ(Embedded().Decode({-1, 99999}), "");
}

TEST(TokenizerTest, RefusesBadMergesByLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "line 1"},
      {"#version\n", "line 2"},
      {"#version\na b\na b c\n", "line 3"},
      {"#version\na\n", "line 2"},
      {"#version\na b\n\nc d\n", "line 3"},
      {"#version\nab c\n", "line 2"},
      {"#version\na b\na b\n", "line 3"},
      {"#version\na</w> b\n", "line 2"},
      {"#version\n\xff b\n", "line 2"}};
  for (const auto& [merges, place] : cases) {
    const auto tokenizer = Tokenizer::FromMerges(merges);
    ASSERT_FALSE(tokenizer.ok()) << merges;
    EXPECT_EQ(ErrorReason(tokenizer.status()), "BAD_MERGES");
    EXPECT_NE(std::string(tokenizer.status().message()).find(place),
              std::string::npos)
        << tokenizer.status();
  }
}

}  // namespace
}  // namespace promptd::clip
