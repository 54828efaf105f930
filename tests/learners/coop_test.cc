#include "learners/coop.h"

#include <ATen/core/Tensor.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "clip/text_tower.h"
#include "common/error.h"
#include "common/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/learners/tiny_job.h"

namespace promptd::learners {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<Method>> Make(
    int context_tokens, const std::string& init,
    const std::vector<std::string>& names = {"cat", "dog"}) {
  return MakeMethod("coop", TinyEncoder(), {context_tokens, init}, names);
}

TEST(CoOpTest, IsATextSideMethod) {
  EXPECT_EQ((*Make(4, ""))->side(), Side::kText);
}

TEST(CoOpTest, RandomContextHasThePapersSpread) {
  Random random(1);
  const at::Tensor context = *(*Make(60, ""))->InitialParameter(&random);
  EXPECT_NEAR(context.mean().item().toDouble(), 0, 1e-3);
  EXPECT_NEAR(context.std().item().toDouble(), 0.02, 1e-3);
}

TEST(CoOpTest, WordsBecomeTheirTokensEmbeddings) {
  const auto encoder = TinyEncoder();
  const auto ids = encoder->tokenizer().Encode("a photo of a");
  ASSERT_TRUE(ids.ok());
  // The tiny vocabulary splits words: a word of several tokens takes several
  // vectors.
  ASSERT_GT(ids->size(), 4u);
  for (const char* words : {"a photo of a", "a_photo_of_a"}) {
    const auto method = Make(static_cast<int>(ids->size()), words);
    ASSERT_TRUE(method.ok()) << method.status();
    Random random(1);
    const std::string before = random.State();
    const at::Tensor context = *(*method)->InitialParameter(&random);
    EXPECT_EQ(random.State(), before);  // nothing was drawn
    for (size_t i = 0; i < ids->size(); ++i) {
      EXPECT_TRUE(context.select(0, static_cast<int64_t>(i))
                      .equal(encoder->text_tower()->token_embedding().select(
                          0, (*ids)[i])));
    }
  }
}

TEST(CoOpTest, EveryClassStartsWithTheWordsWhenContextsAreItsOwn) {
  const auto encoder = TinyEncoder();
  const int tokens =
      static_cast<int>(encoder->tokenizer().Encode("a photo")->size());
  MethodSpec spec = {tokens, "a photo"};
  Random random(1);
  const at::Tensor unified =
      *(*MakeMethod("coop", encoder, spec, {"cat", "dog"}))
           ->InitialParameter(&random);
  spec.class_specific = true;
  const at::Tensor own = *(*MakeMethod("coop", encoder, spec, {"cat", "dog"}))
                              ->InitialParameter(&random);
  EXPECT_EQ(own.sizes(), at::IntArrayRef({2, tokens, unified.size(1)}));
  for (int64_t c = 0; c < 2; ++c) EXPECT_TRUE(own[c].equal(unified));
}

TEST(CoOpTest, RandomContextsOfClassesDiffer) {
  MethodSpec spec;
  spec.class_specific = true;
  Random random(1);
  const at::Tensor own =
      *(*MakeMethod("coop", TinyEncoder(), spec, {"cat", "dog"}))
           ->InitialParameter(&random);
  EXPECT_FALSE(own[0].equal(own[1]));
}

TEST(CoOpTest, RefusesWordsThatDoNotFitTheContext) {
  const absl::Status status = Make(2, "a photo of a").status();
  EXPECT_EQ(ErrorReason(status), "BAD_CONTEXT_TOKENS");
  EXPECT_THAT(std::string(status.message()), HasSubstr("a photo of a"));
}

TEST(CoOpTest, RefusesContextsThatAreEmptyOrTooLong) {
  for (const int tokens : {-1, 0, 75, 1 << 30}) {
    EXPECT_EQ(ErrorReason(Make(tokens, "").status()), "BAD_CONTEXT_TOKENS");
  }
}

TEST(CoOpTest, NamesTheClassThatIsTooLong) {
  const std::string longest(80, 'q');
  const absl::Status status = Make(16, "", {"cat", longest}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(longest));
}

TEST(CoOpTest, UnderscoresInNamesAreSpaces) {
  at::Tensor features[2];
  for (int i = 0; i < 2; ++i) {
    const auto method = Make(4, "", {i == 0 ? "red_apple" : "red apple"});
    ASSERT_TRUE(method.ok());
    Random random(1);
    (*method)->Begin(*(*method)->InitialParameter(&random));
    (*method)->ForwardUnit(0);
    features[i] = (*method)->text_features();
  }
  EXPECT_TRUE(features[0].equal(features[1]));
}

}  // namespace
}  // namespace promptd::learners
