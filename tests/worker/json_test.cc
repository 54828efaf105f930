#include "common/error.h"
#include "gtest/gtest.h"
#include "worker/evaluation.h"
#include "worker/evaluation_spec.h"
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
  // What other methods add is absent without them.
  EXPECT_EQ(json.find("text_templates"), std::string::npos);
  EXPECT_EQ(json.find("inverse_regularization"), std::string::npos);
  spec.text_templates = {"my {}."};
  spec.inverse_regularization = 1e-3;
  EXPECT_EQ(*TrainingSpecFromJson(TrainingSpecToJson(spec)), spec);
  EXPECT_EQ(json.find("initial_job"), std::string::npos);
  spec.initial_job = 42;
  spec.initial_checkpoint = 3;
  EXPECT_EQ(*TrainingSpecFromJson(TrainingSpecToJson(spec)), spec);
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
  evaluation.confusion = {{0, 0, 4}, {0, 1, 1}, {1, 1, 5}};
  evaluation.zero_shot_macro_f1 = 0.1;
  evaluation.zero_shot_ece = 1.0 / 7;
  // What only a selection by validation adds is absent without one.
  EXPECT_EQ(EvaluationToJson(evaluation).find("selected_epoch"),
            std::string::npos);
  evaluation.selected_epoch = 7;
  evaluation.validation_accuracy = 0.9;
  const std::string json = EvaluationToJson(evaluation);
  const auto back = EvaluationFromJson(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(EvaluationToJson(*back), json);
  ASSERT_EQ(back->classes.size(), 2u);
  EXPECT_EQ(back->classes[1].class_name, "dog");
  EXPECT_EQ(back->selected_epoch, 7);
  EXPECT_EQ(ErrorReason(EvaluationFromJson("{\"classes\": 1}").status()),
            "BAD_STORED_EVALUATION");
}

TEST(EvaluationJsonTest, OfTheFirstReleaseCanStillBeRead) {
  const auto old = EvaluationFromJson(
      R"({"split":"val","images":1,"accuracy":1.0,"macro_f1":1.0,"ece":0.5,)"
      R"("zero_shot_accuracy":0.5,"zero_shot_template":"{}","classes":[],)"
      R"("templates":[]})");
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->split, "val");
  EXPECT_TRUE(old->confusion.empty());
}

TEST(EvaluationJsonTest, AConfusionCountIsATriple) {
  Evaluation evaluation;
  evaluation.confusion = {{0, 0, 4}};
  std::string json = EvaluationToJson(evaluation);
  json.replace(json.find("[0,0,4]"), 7, "[0,4]");
  EXPECT_FALSE(EvaluationFromJson(json).ok());
  json.replace(json.find("[0,4]"), 5, "[0,0,\"4\"]");
  EXPECT_FALSE(EvaluationFromJson(json).ok());
}

TEST(EvaluationSpecJsonTest, RoundTripsExactly) {
  EvaluationSpec spec;
  spec.task = "pets";
  spec.version = 3;
  spec.features_digest = "f";
  spec.dataset = "sketches";
  spec.dataset_digest = "d";
  spec.encoder = "e";
  spec.encoder_digest = "ed";
  spec.split = "test";
  spec.class_subset = ClassSubset::kNew;
  spec.class_rows = {4, 0, 2};
  spec.templates = {"{}"};
  const auto back = EvaluationSpecFromJson(EvaluationSpecToJson(spec));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, spec);
  EXPECT_EQ(ErrorReason(EvaluationSpecFromJson("{}").status()),
            "BAD_STORED_SPEC");
  std::string json = EvaluationSpecToJson(spec);
  json.replace(json.find("[4,0,2]"), 7, "[4,\"0\"]");
  EXPECT_FALSE(EvaluationSpecFromJson(json).ok());
}

}  // namespace
}  // namespace promptd::worker
