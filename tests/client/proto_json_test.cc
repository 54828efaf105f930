#include "client/proto_json.h"

#include "gtest/gtest.h"
#include "promptd/v1/classify.pb.h"
#include "promptd/v1/server.pb.h"
#include "promptd/v1/training.pb.h"

namespace promptd::client {
namespace {

TEST(ProtoJsonTest, NumbersStayNumbersAndEnumsLoseTheirPrefix) {
  v1::TrainingJob job;
  job.set_id(9'007'199'254'740'993);
  job.set_state(v1::JOB_STATE_RUNNING);
  job.mutable_spec()->set_shots(0);
  job.mutable_spec()->add_templates("a {}.");
  job.mutable_create_time()->set_seconds(1'700'000'000);
  const nlohmann::json json = ToJson(job);
  EXPECT_EQ(json["id"].get<int64_t>(), 9'007'199'254'740'993);
  EXPECT_EQ(json["state"], "running");
  EXPECT_EQ(json["spec"]["shots"], 0);
  EXPECT_EQ(json["spec"]["templates"], nlohmann::json({"a {}."}));
  EXPECT_EQ(json["create_time"], "2023-11-14T22:13:20+00:00");
  EXPECT_EQ(json["done"], false);
}

TEST(ProtoJsonTest, UnsetMessagesAndOptionalsAreLeftOut) {
  const nlohmann::json json = ToJson(v1::TrainingJob());
  EXPECT_FALSE(json.contains("spec"));
  EXPECT_FALSE(json.contains("end_time"));
  EXPECT_FALSE(ToJson(v1::TrainingSpec()).contains("shots"));
  EXPECT_TRUE(json.contains("error_message"));
}

TEST(ProtoJsonTest, MapsDurationsAndBytes) {
  v1::GetServerInfoResponse info;
  (*info.mutable_jobs())["queued"] = 3;
  EXPECT_EQ(ToJson(info)["jobs"]["queued"], 3);
  v1::StageTimings timings;
  timings.mutable_decode()->set_nanos(250'000'000);
  EXPECT_EQ(ToJson(timings)["decode"], 0.25);
  v1::ClassifyRequest request;
  request.add_images("abc");
  EXPECT_EQ(ToJson(request)["images"][0], "YWJj");
}

}  // namespace
}  // namespace promptd::client
