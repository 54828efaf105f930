#include "common/error.h"
#include "gtest/gtest.h"
#include "worker/evaluation.h"
#include "worker/training_spec.h"

namespace promptd::worker {
namespace {

TEST(TrainingSpecJsonTest, RoundTripsExactly) {
  TrainingSpec spec;
  spec.task = "pets";
  spec.dataset = "pets \"16\"";
  spec.context_init = "a photo of a";
  spec.learning_rate = 0.1 + 0.2;  // needs all its digits
  spec.seed = -3;
  spec.templates = {"a photo of a {}.", "{}"};
  const std::string json = TrainingSpecToJson(spec);
  const auto back = TrainingSpecFromJson(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, spec);
  EXPECT_EQ(TrainingSpecToJson(*back), json);
}

TEST(TrainingSpecJsonTest, RefusesWhatItDidNotWrite) {
  for (const char* bad : {"", "[]", "{}", "{\"task\": 3}", "not json"}) {
    EXPECT_EQ(ErrorReason(TrainingSpecFromJson(bad).status()),
              "BAD_STORED_SPEC")
        << bad;
  }
  std::string json = TrainingSpecToJson({});
  json.replace(json.find("\"shots\":16"), 10, "\"shots\":1.5");
  EXPECT_FALSE(TrainingSpecFromJson(json).ok());
}

TEST(EvaluationJsonTest, RoundTripsExactly) {
  Evaluation evaluation;
  evaluation.split = "test";
  evaluation.images = 10;
  evaluation.accuracy = 0.7;
  evaluation.ece = 1.0 / 3;
  evaluation.classes = {{"cat", 5, 0.8, 0.2}, {"dog", 5, 0.6, 0.4}};
  evaluation.templates = {{"{}", 0.3}};
  const std::string json = EvaluationToJson(evaluation);
  const auto back = EvaluationFromJson(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(EvaluationToJson(*back), json);
  ASSERT_EQ(back->classes.size(), 2u);
  EXPECT_EQ(back->classes[1].class_name, "dog");
  EXPECT_EQ(ErrorReason(EvaluationFromJson("{\"classes\": 1}").status()),
            "BAD_STORED_EVALUATION");
}

}  // namespace
}  // namespace promptd::worker
