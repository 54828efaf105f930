#include "client/template_set.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "absl/strings/match.h"
#include "common/error.h"
#include "tests/testing/temp_dir.h"

namespace promptd::client {
namespace {

TEST(TemplateSetTest, KnownSetsHaveTheirSizes) {
  for (const auto& [name, size] :
       {std::pair<const char*, size_t>{"coop7", 7}, {"clip80", 80}}) {
    const auto templates = ReadTemplateSet(name);
    ASSERT_TRUE(templates.ok());
    EXPECT_EQ(templates->size(), size);
    const std::set<std::string> distinct(templates->begin(), templates->end());
    EXPECT_EQ(distinct.size(), size);
    for (const std::string& text : *templates) {
      EXPECT_TRUE(absl::StrContains(text, "{}")) << text;
    }
  }
}

TEST(TemplateSetTest, AFileHasATemplateALine) {
  const testing::TempDir dir;
  const std::string path = dir.path() + "/mine.txt";
  std::ofstream(path) << "# mine\na {}.\n\n  the {}!  \n";
  const auto templates = ReadTemplateSet(path);
  ASSERT_TRUE(templates.ok()) << templates.status();
  EXPECT_EQ(*templates, (std::vector<std::string>{"a {}.", "the {}!"}));
  std::ofstream(path) << "a {}.\na {} and a {}\n";
  const absl::Status twice = ReadTemplateSet(path).status();
  EXPECT_EQ(ErrorReason(twice), "BAD_TEMPLATE_FILE");
  EXPECT_TRUE(absl::StrContains(twice.message(), ":2:")) << twice;
  std::ofstream(path) << "# nothing\n";
  EXPECT_EQ(ErrorReason(ReadTemplateSet(path).status()), "BAD_TEMPLATE_FILE");
  EXPECT_EQ(ErrorReason(ReadTemplateSet("clip81").status()),
            "UNKNOWN_TEMPLATE_SET");
}

}  // namespace
}  // namespace promptd::client
