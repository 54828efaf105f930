#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "experiments/result.h"
#include "google/protobuf/util/json_util.h"

namespace promptd::experiments {
namespace {

using nlohmann::json;

absl::Status Bad(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_RESULT_FILE",
                   absl::StrCat("this is no result of an experiment: ", what));
}

json MessageJson(const google::protobuf::Message& message, bool zeros) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = zeros;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options)
           .ok()) {
    return json::object();
  }
  return json::parse(text);
}

bool FromJson(const json& value, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  return google::protobuf::util::JsonStringToMessage(value.dump(), message,
                                                     options)
      .ok();
}

json ScoreJson(const Score& score) {
  json out = {{"dataset", score.dataset},
              {"job_id", score.job_id},
              {"seconds", score.seconds}};
  if (score.reason.empty()) {
    out["result"] = MessageJson(score.result, /*zeros=*/true);
  } else {
    out["reason"] = score.reason;
    out["message"] = score.message;
  }
  return out;
}

Score ScoreFrom(const json& value) {
  Score score;
  value.at("dataset").get_to(score.dataset);
  value.at("job_id").get_to(score.job_id);
  value.at("seconds").get_to(score.seconds);
  score.reason = value.value("reason", "");
  score.message = value.value("message", "");
  if (score.reason.empty() && !FromJson(value.at("result"), &score.result)) {
    throw std::invalid_argument("its evaluation cannot be read");
  }
  return score;
}

json DatasetJson(const PlanDataset& dataset) {
  return {{"name", dataset.name},
          {"target", dataset.target},
          {"source", dataset.source},
          {"unseen_style", dataset.unseen_style},
          {"unseen_classes", dataset.unseen_classes}};
}

PlanDataset DatasetFrom(const json& value) {
  PlanDataset dataset;
  value.at("name").get_to(dataset.name);
  value.at("target").get_to(dataset.target);
  value.at("source").get_to(dataset.source);
  value.at("unseen_style").get_to(dataset.unseen_style);
  value.at("unseen_classes").get_to(dataset.unseen_classes);
  return dataset;
}

Member MemberFrom(const json& value) {
  Member member;
  value.at("key").get_to(member.key);
  value.at("dataset").get_to(member.dataset);
  value.at("encoder").get_to(member.encoder);
  value.at("method").get_to(member.method);
  value.at("shots").get_to(member.shots);
  value.at("seed").get_to(member.seed);
  value.at("targets").get_to(member.targets);
  return member;
}

}  // namespace

json ToJson(const MemberResult& result) {
  json scores = json::array();
  for (const Score& score : result.scores) scores.push_back(ScoreJson(score));
  return {{"key", result.key},
          {"fingerprint", result.fingerprint},
          {"attempt", result.attempt},
          {"task", result.task},
          {"version", result.version},
          {"spec", MessageJson(result.spec, /*zeros=*/false)},
          {"scores", scores}};
}

absl::StatusOr<MemberResult> MemberResultFromJson(const std::string& text) {
  try {
    const json value = json::parse(text);
    MemberResult result;
    value.at("key").get_to(result.key);
    value.at("fingerprint").get_to(result.fingerprint);
    value.at("attempt").get_to(result.attempt);
    value.at("task").get_to(result.task);
    value.at("version").get_to(result.version);
    if (!FromJson(value.at("spec"), &result.spec)) {
      return Bad("its specification cannot be read");
    }
    for (const json& score : value.at("scores")) {
      result.scores.push_back(ScoreFrom(score));
    }
    if (result.scores.empty()) return Bad("it has no score");
    return result;
  } catch (const std::exception& error) {
    return Bad(error.what());
  }
}

json ToJson(const Plan& plan) {
  json datasets = json::array();
  for (const PlanDataset& dataset : plan.datasets) {
    datasets.push_back(DatasetJson(dataset));
  }
  json methods = json::array();
  for (const PlanMethod& method : plan.methods) {
    methods.push_back({{"key", method.key}, {"label", method.label}});
  }
  json members = json::array();
  for (const Member& member : plan.members) {
    members.push_back({{"key", member.key},
                       {"dataset", member.dataset},
                       {"encoder", member.encoder},
                       {"method", member.method},
                       {"shots", member.shots},
                       {"seed", member.seed},
                       {"targets", member.targets}});
  }
  return {{"experiment", plan.experiment}, {"datasets", datasets},
          {"encoders", plan.encoders},     {"methods", methods},
          {"shots", plan.shots},           {"members", members}};
}

absl::StatusOr<Plan> PlanFromJson(const std::string& text) {
  try {
    const json value = json::parse(text);
    Plan plan;
    value.at("experiment").get_to(plan.experiment);
    value.at("encoders").get_to(plan.encoders);
    value.at("shots").get_to(plan.shots);
    for (const json& dataset : value.at("datasets")) {
      plan.datasets.push_back(DatasetFrom(dataset));
    }
    for (const json& method : value.at("methods")) {
      plan.methods.push_back({method.at("key").get<std::string>(),
                              method.at("label").get<std::string>()});
    }
    for (const json& member : value.at("members")) {
      plan.members.push_back(MemberFrom(member));
    }
    if (plan.shots.empty() || plan.methods.empty()) {
      return Bad("it has no shots or no methods");
    }
    return plan;
  } catch (const std::exception& error) {
    return Bad(error.what());
  }
}

}  // namespace promptd::experiments
