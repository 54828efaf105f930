// Every field of every struct that crosses the two doors comes back as it went.
#include <limits>

#include "common/error.h"
#include "gtest/gtest.h"
#include "wire/convert_call.h"
#include "wire/convert_job.h"
#include "wire/convert_time.h"

namespace promptd::wire {
namespace {

TEST(ConvertTest, Durations) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Seconds(15),
        absl::Milliseconds(-1500), absl::Hours(1000)}) {
    google::protobuf::Duration message;
    ToProto(duration, &message);
    EXPECT_EQ(FromProto(message), duration);
  }
}

TEST(ConvertTest, LeasedTrainingJob) {
  worker::LeasedJob job;
  job.id = 7;
  job.fence = 3;
  job.attempt = 2;
  job.spec.task = "pets";
  job.spec.learning_rate = 0.1 + 0.2;
  job.spec.seed = std::numeric_limits<int64_t>::max();
  job.spec.templates = {"a {}", "\xc3\xa9 {}"};
  job.checkpoint_digest = "c";
  job.lease = absl::Seconds(15);
  pb::LeasedJob message;
  ToProto(job, &message);
  const auto back = FromProto(message);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->id, 7);
  EXPECT_EQ(back->fence, 3);
  EXPECT_EQ(back->attempt, 2);
  EXPECT_EQ(back->spec, job.spec);
  EXPECT_FALSE(back->evaluation.has_value());
  EXPECT_EQ(back->checkpoint_digest, "c");
  EXPECT_EQ(back->lease, absl::Seconds(15));
}

TEST(ConvertTest, LeasedEvaluationJobAndALeaseForEver) {
  worker::LeasedJob job;
  job.evaluation.emplace();
  job.evaluation->task = "pets";
  job.evaluation->version = 4;
  job.evaluation->class_rows = {2, 0};
  job.evaluation->split = "test";
  pb::LeasedJob message;
  ToProto(job, &message);
  const auto back = FromProto(message);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->evaluation, job.evaluation);
  EXPECT_EQ(back->lease, absl::InfiniteDuration());
}

TEST(ConvertTest, AJobWithoutASpecificationIsRefused) {
  EXPECT_EQ(ErrorReason(FromProto(pb::LeasedJob()).status()),
            "BAD_WIRE_MESSAGE");
  EXPECT_EQ(ErrorReason(FromProto(pb::DIRECTIVE_UNSPECIFIED).status()),
            "BAD_WIRE_MESSAGE");
}

TEST(ConvertTest, Directives) {
  for (const auto directive :
       {worker::Directive::kContinue, worker::Directive::kPause,
        worker::Directive::kCancel, worker::Directive::kSaveAndCancel}) {
    EXPECT_EQ(*FromProto(ToProto(directive)), directive);
  }
}

TEST(ConvertTest, Progress) {
  worker::Progress progress;
  progress.phase = "train";
  progress.epoch = 1;
  progress.epochs = 2;
  progress.step = 3;
  progress.steps = 4;
  progress.loss = 0.5;
  progress.accuracy = 0.25;
  progress.learning_rate = 0.002;
  progress.fraction = 0.125;
  progress.eta = absl::Milliseconds(1500);
  pb::Progress message;
  ToProto(progress, &message);
  const worker::Progress back = FromProto(message);
  EXPECT_EQ(back.phase, "train");
  EXPECT_EQ(back.epoch, 1);
  EXPECT_EQ(back.epochs, 2);
  EXPECT_EQ(back.step, 3);
  EXPECT_EQ(back.steps, 4);
  EXPECT_EQ(back.loss, 0.5);
  EXPECT_EQ(back.accuracy, 0.25);
  EXPECT_EQ(back.learning_rate, 0.002);
  EXPECT_EQ(back.fraction, 0.125);
  EXPECT_EQ(back.eta, absl::Milliseconds(1500));
  progress.eta.reset();
  pb::Progress without;
  ToProto(progress, &without);
  EXPECT_FALSE(FromProto(without).eta.has_value());
}

TEST(ConvertTest, FinishedPrompt) {
  worker::FinishedPrompt prompt;
  prompt.context_digest = "c";
  prompt.features_digest = "f";
  prompt.class_names = {"cat", "dog"};
  prompt.evaluation.split = "test";
  prompt.evaluation.accuracy = 1.0 / 3.0;
  prompt.evaluation.classes = {{"cat", 3, 0.1, 0.2}};
  prompt.evaluation.confusion = {{0, 1, 2}};
  pb::FinishedPrompt message;
  ToProto(prompt, &message);
  const auto back = FromProto(message);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->context_digest, "c");
  EXPECT_EQ(back->features_digest, "f");
  EXPECT_EQ(back->class_names, prompt.class_names);
  EXPECT_EQ(worker::EvaluationToJson(back->evaluation),
            worker::EvaluationToJson(prompt.evaluation));
}

TEST(ConvertTest, EncoderDescription) {
  const worker::EncoderDescription encoder = {"vit",   "digest",
                                              512,     224,
                                              77,      768,
                                              100.5f,  150'000'000'000,
                                              true,    Precision::kBFloat16,
                                              "cuda:1"};
  pb::EncoderDescription message;
  ToProto(encoder, &message);
  const worker::EncoderDescription back = FromProto(message);
  EXPECT_EQ(back.name, "vit");
  EXPECT_EQ(back.digest, "digest");
  EXPECT_EQ(back.embed_dim, 512);
  EXPECT_EQ(back.image_size, 224);
  EXPECT_EQ(back.context_length, 77);
  EXPECT_EQ(back.text_width, 768);
  EXPECT_EQ(back.logit_scale, 100.5f);
  EXPECT_EQ(back.parameters, 150'000'000'000);
  EXPECT_TRUE(back.demonstration);
  EXPECT_EQ(back.precision, Precision::kBFloat16);
  EXPECT_EQ(back.device, "cuda:1");
}

TEST(ConvertTest, ClassifyCall) {
  worker::ClassifyCall call;
  call.tenant = "t";
  call.encoder_digest = "e";
  call.embed = true;
  call.heads = {{{"f", {}}, 3}, {{"", {"a cat", "\xff"}}, 1}};
  call.images = {absl::string_view("a\0b", 3), "c"};
  call.image_digests = {absl::string_view("\0\xff", 2), "d"};
  call.no_cache = true;
  call.priority = worker::Priority::kLow;
  pb::ClassifyRequest request;
  ToProto(call, &request);
  pb::ClassifyRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(request.SerializeAsString()));
  const worker::ClassifyCall back = FromProto(parsed);
  EXPECT_EQ(back.tenant, "t");
  EXPECT_EQ(back.encoder_digest, "e");
  EXPECT_TRUE(back.embed);
  ASSERT_EQ(back.heads.size(), 2u);
  EXPECT_EQ(back.heads[0].text.features_digest, "f");
  EXPECT_EQ(back.heads[0].top_k, 3);
  EXPECT_EQ(back.heads[1].text.texts, call.heads[1].text.texts);
  EXPECT_EQ(back.images, call.images);
  EXPECT_EQ(back.image_digests, call.image_digests);
  EXPECT_TRUE(back.no_cache);
  EXPECT_EQ(back.priority, worker::Priority::kLow);
}

TEST(ConvertTest, ClassifyCallOfPixels) {
  worker::ClassifyCall call;
  const std::vector<float> first = {0.5f, -1.0f};
  const std::vector<float> second = {2.0f};
  call.pixels = {first, second};
  for (const auto priority :
       {worker::Priority::kHigh, worker::Priority::kNormal}) {
    call.priority = priority;
    pb::ClassifyRequest request;
    ToProto(call, &request);
    EXPECT_EQ(FromProto(request).pixels, call.pixels);
    EXPECT_EQ(FromProto(request).priority, priority);
  }
}

TEST(ConvertTest, ClassifyOutcome) {
  worker::ClassifyOutcome outcome;
  outcome.images.resize(2);
  outcome.images[0].scores = {{{1, 0.75f, 0.5f}, {0, 0.25f, 0.125f}}, {}};
  outcome.images[0].embedding = {{0.6f, 0.8f}, 5.0f};
  outcome.images[0].cache = worker::CacheUse::kJoin;
  outcome.images[0].batch_size = 7;
  outcome.images[1].status =
      MakeError(absl::StatusCode::kInvalidArgument, "BAD_IMAGE", "no");
  outcome.heads = {absl::OkStatus(),
                   MakeError(absl::StatusCode::kDataLoss, "BLOB_CORRUPT", "b")};
  outcome.temperatures = {1, 2.5};
  outcome.timings = {absl::Nanoseconds(1), absl::Milliseconds(2),
                     absl::Milliseconds(3), absl::Milliseconds(4),
                     absl::Milliseconds(5)};
  outcome.total = absl::Seconds(6);
  pb::ClassifyResponse message;
  ToProto(outcome, &message);
  const worker::ClassifyOutcome back = FromProto(message);
  ASSERT_EQ(back.images.size(), 2u);
  ASSERT_EQ(back.images[0].scores.size(), 2u);
  ASSERT_EQ(back.images[0].scores[0].size(), 2u);
  EXPECT_EQ(back.images[0].scores[0][0].class_index, 1);
  EXPECT_EQ(back.images[0].scores[0][0].probability, 0.75f);
  EXPECT_EQ(back.images[0].scores[0][0].similarity, 0.5f);
  EXPECT_TRUE(back.images[0].scores[1].empty());
  EXPECT_EQ(back.images[0].embedding.values, (std::vector<float>{0.6f, 0.8f}));
  EXPECT_EQ(back.images[0].embedding.norm, 5.0f);
  EXPECT_EQ(back.images[0].cache, worker::CacheUse::kJoin);
  EXPECT_EQ(back.images[0].batch_size, 7);
  EXPECT_EQ(back.images[1].status, outcome.images[1].status);
  EXPECT_EQ(back.heads, outcome.heads);
  EXPECT_EQ(back.temperatures, outcome.temperatures);
  EXPECT_EQ(back.timings.hash, absl::Nanoseconds(1));
  EXPECT_EQ(back.timings.decode, absl::Milliseconds(2));
  EXPECT_EQ(back.timings.queue, absl::Milliseconds(3));
  EXPECT_EQ(back.timings.encode, absl::Milliseconds(4));
  EXPECT_EQ(back.timings.head, absl::Milliseconds(5));
  EXPECT_EQ(back.total, absl::Seconds(6));
}

TEST(ConvertTest, Texts) {
  pb::EmbedTextsRequest request;
  worker::EmbedTextsCall asked;
  asked.encoder_digest = "e";
  asked.texts = {"a", "\xff"};
  asked.truncate = true;
  ToProto(asked, &request);
  const worker::EmbedTextsCall call = FromProto(request);
  EXPECT_EQ(call.encoder_digest, "e");
  EXPECT_EQ(call.texts, (std::vector<std::string>{"a", "\xff"}));
  EXPECT_TRUE(call.truncate);
  pb::EmbedTextsResponse response;
  const absl::Status bad =
      MakeError(absl::StatusCode::kInvalidArgument, "TEXT_TOO_LONG", "long");
  ToProto(std::vector<worker::TextOutcome>{{absl::OkStatus(), {{1.0f}, 2.0f}},
                                           {bad, {}}},
          &response);
  const auto outcomes = FromProto(response);
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_EQ(outcomes[0].embedding.values, std::vector<float>{1.0f});
  EXPECT_EQ(outcomes[0].embedding.norm, 2.0f);
  EXPECT_EQ(outcomes[1].status, bad);
}

TEST(ConvertTest, EncoderVerification) {
  const worker::EncoderVerification verification = {
      {{"image features", 2, 0.5f, 0.25f, {1e-4f, 0.9999f}, true}},
      "origin",
      "digest",
      true,
      true};
  pb::EncoderVerification message;
  ToProto(verification, &message);
  const worker::EncoderVerification back = FromProto(message);
  ASSERT_EQ(back.checks.size(), 1u);
  EXPECT_EQ(back.checks[0].subject, "image features");
  EXPECT_EQ(back.checks[0].vectors, 2);
  EXPECT_EQ(back.checks[0].deviation, 0.5f);
  EXPECT_EQ(back.checks[0].cosine, 0.25f);
  EXPECT_EQ(back.checks[0].limits.deviation, 1e-4f);
  EXPECT_EQ(back.checks[0].limits.cosine, 0.9999f);
  EXPECT_TRUE(back.checks[0].passed);
  EXPECT_EQ(back.origin, "origin");
  EXPECT_EQ(back.digest_on_disk, "digest");
  EXPECT_TRUE(back.files_unchanged);
  EXPECT_TRUE(back.passed);
}

TEST(ConvertTest, Interpretation) {
  worker::InterpretCall call;
  call.encoder_digest = "e";
  call.context_digest = "c";
  call.classes = 3;
  call.context_tokens = 4;
  call.class_indexes = {2, 0};
  call.top_k = 5;
  pb::InterpretRequest request;
  ToProto(call, &request);
  const worker::InterpretCall back = FromProto(request);
  EXPECT_EQ(back.encoder_digest, "e");
  EXPECT_EQ(back.context_digest, "c");
  EXPECT_EQ(back.classes, 3);
  EXPECT_EQ(back.context_tokens, 4);
  EXPECT_EQ(back.class_indexes, call.class_indexes);
  EXPECT_EQ(back.top_k, 5);
  pb::InterpretResponse response;
  ToProto(std::vector<worker::VectorWords>{{0.5, {{"\xc3", 9, 0.25}}}},
          &response);
  const auto vectors = FromProto(response);
  ASSERT_EQ(vectors.size(), 1u);
  EXPECT_EQ(vectors[0].norm, 0.5);
  ASSERT_EQ(vectors[0].words.size(), 1u);
  EXPECT_EQ(vectors[0].words[0].token, "\xc3");
  EXPECT_EQ(vectors[0].words[0].token_id, 9);
  EXPECT_EQ(vectors[0].words[0].distance, 0.25);
}

TEST(ConvertTest, PromptCheck) {
  pb::PromptCheck message;
  ToProto(worker::PromptCheck{{7, 8}, 3}, &message);
  EXPECT_EQ(FromProto(message).total_tokens, (std::vector<int>{7, 8}));
  EXPECT_EQ(FromProto(message).init_tokens, 3);
}

}  // namespace
}  // namespace promptd::wire
