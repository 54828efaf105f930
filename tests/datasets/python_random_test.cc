#include "datasets/python_random.h"

#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/datasets/golden_images.h"

namespace promptd::datasets {
namespace {

TEST(PythonRandomTest, GeneratorEqualsCPython) {
  const nlohmann::json cases = GoldenJson("few_shot.json").at("generator");
  ASSERT_EQ(cases.size(), 9u);
  for (const nlohmann::json& golden : cases) {
    SCOPED_TRACE(golden.at("seed").get<std::string>());
    PythonRandom random(std::stoll(golden.at("seed").get<std::string>()));
    std::vector<uint32_t> drawn;
    for (const int bits : {32, 1, 7, 31, 32}) {
      for (int i = 0; i < 4; ++i) drawn.push_back(random.GetRandBits(bits));
    }
    EXPECT_EQ(drawn, golden.at("bits").get<std::vector<uint32_t>>());
    drawn.clear();
    for (const uint32_t limit : {1u, 2u, 3u, 10u, 1000u, 1u << 31}) {
      for (int i = 0; i < 4; ++i) drawn.push_back(random.RandBelow(limit));
    }
    EXPECT_EQ(drawn, golden.at("below").get<std::vector<uint32_t>>());
    uint32_t word = 0;
    for (int i = 0; i < 1500; ++i) word = random.GetRandBits(32);
    EXPECT_EQ(word, golden.at("word_1500").get<uint32_t>());
  }
}

TEST(PythonRandomTest, SampleEqualsCPythonOnBothBranches) {
  const nlohmann::json cases = GoldenJson("few_shot.json").at("samples");
  ASSERT_GE(cases.size(), 15u);
  for (const nlohmann::json& golden : cases) {
    const auto size = golden.at("size").get<uint32_t>();
    const auto count = golden.at("count").get<uint32_t>();
    PythonRandom random(7);
    EXPECT_EQ(random.Sample(size, count),
              golden.at("picked").get<std::vector<uint32_t>>())
        << count << " of " << size;
  }
}

}  // namespace
}  // namespace promptd::datasets
