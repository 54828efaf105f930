#include "clip/nearest_tokens.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "clip/encoder.h"
#include "clip/host_floats.h"
#include "clip/text_tower.h"
#include "common/file.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/clip/golden.h"
#include "tests/clip/random_text_tower.h"

namespace promptd::clip {
namespace {

constexpr double kDistanceTolerance = 1e-12;

// Numbers and answers of tools/goldens/make_nearest_goldens.py.
struct NearestGoldens {
  std::vector<float> vectors;
  std::vector<double> norms;
  std::vector<std::vector<int>> ids;
  std::vector<std::vector<double>> distances;
};

NearestGoldens ReadGoldens() {
  const auto text = ReadFile(GoldenDir() + "/nearest.json", 1 << 20);
  const auto json = nlohmann::json::parse(text.value());
  NearestGoldens goldens;
  for (const auto& row : json.at("vectors")) {
    for (const double value : row) {
      goldens.vectors.push_back(static_cast<float>(value));
    }
  }
  json.at("norms").get_to(goldens.norms);
  json.at("ids").get_to(goldens.ids);
  json.at("distances").get_to(goldens.distances);
  return goldens;
}

void ExpectGoldens(const TextTower& tower) {
  const NearestGoldens goldens = ReadGoldens();
  const int top_k = static_cast<int>(goldens.ids.at(0).size());
  const auto found = NearestTokens(tower, goldens.vectors, top_k);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), goldens.ids.size());
  for (size_t row = 0; row < found->size(); ++row) {
    const VectorNeighbours& one = (*found)[row];
    EXPECT_NEAR(one.norm, goldens.norms[row], kDistanceTolerance * one.norm);
    ASSERT_EQ(one.tokens.size(), goldens.ids[row].size());
    for (size_t i = 0; i < one.tokens.size(); ++i) {
      const double distance = goldens.distances[row][i];
      EXPECT_EQ(one.tokens[i].id, goldens.ids[row][i]) << row << ", " << i;
      EXPECT_NEAR(one.tokens[i].distance, distance,
                  kDistanceTolerance * distance);
    }
  }
}

TEST(NearestTokensTest, AreThoseOfPyTorchInFloat64) {
  const auto encoder = LoadEncoder("tiny");
  ASSERT_NE(encoder, nullptr);
  ExpectGoldens(*encoder->text_tower());
}

TEST(NearestTokensTest, DoNotDependOnWhatTheLayersComputeIn) {
  const auto encoder = LoadEncoder("tiny", Precision::kBFloat16);
  ASSERT_NE(encoder, nullptr);
  ExpectGoldens(*encoder->text_tower());
}

// Against every distance in double.
void ExpectExact(const TextTower& tower, const std::vector<float>& vectors) {
  constexpr int kTopK = 20;
  const FloatTensor table = ToFloatTensor(tower.token_embedding());
  const auto vocabulary = static_cast<size_t>(table.shape[0]);
  const auto width = static_cast<size_t>(table.shape[1]);
  const auto found = NearestTokens(tower, vectors, kTopK);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), vectors.size() / width);
  for (size_t row = 0; row < found->size(); ++row) {
    std::vector<NearToken> all(vocabulary);
    for (size_t token = 0; token < vocabulary; ++token) {
      double square = 0;
      for (size_t i = 0; i < width; ++i) {
        const double difference =
            double{vectors[row * width + i]} - table.values[token * width + i];
        square += difference * difference;
      }
      all[token] = {static_cast<int32_t>(token), std::sqrt(square)};
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
    });
    all.resize(kTopK);
    EXPECT_EQ((*found)[row].tokens, all) << row;
  }
}

TEST(NearestTokensTest, AreExactOverAVocabularyOfClipsSize) {
  weights::EncoderConfig config = TinyTextConfig(64, 4, 1, true);
  config.text.vocab_size = 49408;
  const TextTower tower(RandomTextWeights(config, 3));
  const FloatTensor table = ToFloatTensor(tower.token_embedding());
  const auto vocabulary = static_cast<size_t>(table.shape[0]);
  const auto width = static_cast<size_t>(table.shape[1]);
  std::vector<float> vectors;
  for (const size_t token : {size_t{320}, vocabulary / 2, vocabulary - 1}) {
    // Halfway to the next token, and a little beside the token itself.
    for (const float share : {0.5f, 1e-6f}) {
      for (size_t i = 0; i < width; ++i) {
        const float a = table.values[token * width + i];
        const float b = table.values[(token * 7 + 1) % vocabulary * width + i];
        vectors.push_back(a + share * (b - a));
      }
    }
  }
  ExpectExact(tower, vectors);
}

// Tokens whose distances differ by less than a product in float32 rounds.
TEST(NearestTokensTest, AreExactWhereTheProductIsNot) {
  weights::EncoderConfig config = TinyTextConfig(64, 4, 1, true);
  config.text.vocab_size = 2000;
  TextWeights weights = RandomTextWeights(config, 3);
  weights.token_embedding = weights.token_embedding.mul(1e-5).add(1);
  const TextTower tower(weights);
  std::vector<float> vectors(64, 1.0f);
  vectors.insert(vectors.end(), 64, 1.00001f);
  ExpectExact(tower, vectors);
}

TEST(NearestTokensTest, AContextOfWordsGivesTheWordsBack) {
  const auto encoder = LoadEncoder("embedded");
  ASSERT_NE(encoder, nullptr);
  const Tokenizer& tokenizer = encoder->tokenizer();
  std::vector<int32_t> ids = tokenizer.Encode("a photo of a zebra").value();
  ids.push_back(tokenizer.sot_id());
  const FloatTensor table =
      ToFloatTensor(encoder->text_tower()->token_embedding());
  std::vector<float> vectors;
  for (const int32_t id : ids) {
    const auto row = table.values.begin() + id * table.shape[1];
    vectors.insert(vectors.end(), row, row + table.shape[1]);
  }
  const auto found = NearestTokens(*encoder->text_tower(), vectors, 1);
  ASSERT_TRUE(found.ok()) << found.status();
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ((*found)[i].tokens.at(0), (NearToken{ids[i], 0.0}));
  }
  EXPECT_EQ(tokenizer.TokenText((*found)[1].tokens[0].id), "photo</w>");
  EXPECT_EQ(tokenizer.TokenText(found->back().tokens[0].id), "<start_of_text>");
}

TEST(NearestTokensTest, EqualTokensComeByNumberAndHugeVectorsStayFinite) {
  const auto encoder = LoadEncoder("tiny");
  ASSERT_NE(encoder, nullptr);
  const auto width = static_cast<size_t>(encoder->text_tower()->width());
  const int vocabulary = encoder->tokenizer().vocab_size();
  std::vector<float> vectors(2 * width, 0.0f);
  std::fill(vectors.begin() + static_cast<int64_t>(width), vectors.end(),
            3e38f);
  const auto found =
      NearestTokens(*encoder->text_tower(), vectors, vocabulary + 5);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ((*found)[1].tokens.size(), static_cast<size_t>(vocabulary));
  // Every distance is the same number in double.
  for (int id = 0; id < vocabulary; ++id) {
    EXPECT_EQ((*found)[1].tokens[static_cast<size_t>(id)].id, id);
    EXPECT_EQ((*found)[1].tokens[static_cast<size_t>(id)].distance,
              (*found)[1].norm);
  }
  EXPECT_EQ((*found)[0].norm, 0);
}

TEST(NearestTokensTest, OfNoVectorsAreNone) {
  const auto encoder = LoadEncoder("tiny");
  ASSERT_NE(encoder, nullptr);
  const auto found = NearestTokens(*encoder->text_tower(), {}, 3);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->empty());
}

}  // namespace
}  // namespace promptd::clip
