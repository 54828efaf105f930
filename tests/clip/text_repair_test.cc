#include "clip/text_repair.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "clip/unicode_text.h"
#include "common/sha256.h"
#include "nlohmann/json.hpp"
#include "tests/clip/golden_paths.h"

namespace promptd::clip {
namespace {

TEST(TextRepairTest, EqualsFtfyOnStratifiedTexts) {
  std::ifstream file(GoldenDir() + "/tokenizer.jsonl");
  std::string line;
  int count = 0;
  int wrong = 0;
  while (std::getline(file, line)) {
    const nlohmann::json golden = nlohmann::json::parse(line);
    const auto text = DecodeUtf8(golden.at(0).get<std::string>());
    ASSERT_TRUE(text.has_value()) << line;
    const std::string repaired = EncodeUtf8(RepairText(*text));
    ++count;
    if (Sha256Hex(repaired).substr(0, 8) != golden.at(1).get<std::string>() &&
        ++wrong <= 20) {
      ADD_FAILURE() << line << "\n  became " << repaired;
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(count, 4000);
}

struct RepairCase {
  const char32_t* broken;
  const char32_t* repaired;
};

TEST(TextRepairTest, RepairsOneOfEachKind) {
  const RepairCase cases[] = {
      {U"", U""},
      {U"\u201cit\u2019s\u201d", U"\"it's\""},
      {U"\ufb02u\ufb03e\ufb06 \u01c8", U"fluffiest Lj"},
      {U"\uff2c\uff4f\u3000\uff76\uff9e", U"Lo \u30ac"},
      {U"a\r\nb\rc\u2028d\u2029e", U"a\nb\nc\nd\ne"},
      {U"e\u0301\u212b", U"\u00e9\u00c5"},
      {U"\x1b[36;44mblue\x1b[0m", U"blue"},
      {U"a\ufeff\x07z\ufffc", U"az"},
      {U"what\u0085\u0099\u0081", U"what\u2026\u2122\u0081"},
      {U"P&EACUTE;REZ &SZLIG; &eacute", U"P\u00c9REZ SS &eacute"},
      {U"&amp;amp;lt;", U"<"},
      {U"&#59;&#x41;&#x41g;", U"&#59;A&#x41g;"}};
  for (const RepairCase& c : cases) {
    EXPECT_EQ(EncodeUtf8(RepairText(c.broken)), EncodeUtf8(c.repaired));
  }
}

TEST(TextRepairTest, ReferencesStayFromTheFirstAngleBracketOn) {
  EXPECT_EQ(RepairText(U"&eacute;\n&amp;"), U"\u00e9\n&");
  EXPECT_EQ(RepairText(U"&eacute;\n<&amp;\n&amp;"), U"\u00e9\n<&amp;\n&amp;");
  EXPECT_EQ(RepairText(U"&lt;&amp;"), U"<&");
}

// The exclusion that the header names: ftfy makes "s\u00f3" of this.
TEST(TextRepairTest, LeavesWronglyDecodedText) {
  EXPECT_EQ(RepairText(U"s\u00c3\u00b3"), U"s\u00c3\u00b3");
}

}  // namespace
}  // namespace promptd::clip
