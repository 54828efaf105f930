// promptctl status: the server on one screen.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/server.grpc.pb.h"

namespace promptd::client {
namespace {

std::string JobCounts(const v1::GetServerInfoResponse& server) {
  std::vector<std::string> parts;
  for (const char* state :
       {"queued", "running", "paused", "succeeded", "failed", "cancelled"}) {
    const auto found = server.jobs().find(state);
    const int64_t count = found == server.jobs().end() ? 0 : found->second;
    if (count > 0) parts.push_back(absl::StrCat(count, " ", state));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, ", ");
}

std::string LimitsText(const v1::Limits& limits) {
  return absl::StrCat(limits.max_images_per_call(), " images a call, ",
                      limits.max_texts_per_call(), " texts a call, ",
                      Bytes(limits.max_image_bytes()), " an image, ",
                      limits.max_image_side(), " pixels a side, ",
                      limits.max_classes(), " classes, ",
                      limits.max_context_tokens(), " context tokens");
}

std::string StatusText(const v1::GetServerInfoResponse& server,
                       const v1::ListEncodersResponse& encoders,
                       const std::string& address) {
  std::string out = KeyValues(
      {{"server",
        absl::StrCat(address, "  promptd ", server.version(), "  up ",
                     ShortDuration(absl::Seconds(server.uptime_seconds())))},
       {"jobs", JobCounts(server)},
       {"limits", LimitsText(server.limits())}});
  Table workers({"WORKER", "ADDRESS", "DEVICE", "READY", "ENCODERS"});
  for (const auto& worker : server.workers()) {
    std::vector<std::string> digests;
    digests.reserve(static_cast<size_t>(worker.encoder_digests_size()));
    for (const std::string& digest : worker.encoder_digests()) {
      digests.push_back(ShortDigest(digest));
    }
    workers.Add({worker.id(),
                 worker.address().empty() ? "in the server" : worker.address(),
                 worker.device(), worker.ready() ? "yes" : "no",
                 absl::StrJoin(digests, " ")});
  }
  Table table({"ENCODER", "DIGEST", "DEFAULT", "NOTE"});
  for (const auto& encoder : encoders.encoders()) {
    table.Add({encoder.name(), ShortDigest(encoder.digest()),
               encoder.name() == server.default_encoder() ? "yes" : "",
               encoder.demonstration() ? "small demonstration encoder" : ""});
  }
  absl::StrAppend(&out, "\n", workers.ToString(), "\n", table.ToString());
  return out;
}

absl::Status Status(Session& session) {
  ASSIGN_OR_RETURN(const auto server,
                   session.api.Call(&v1::ServerService::Stub::GetServerInfo,
                                    v1::GetServerInfoRequest()));
  ASSIGN_OR_RETURN(const auto encoders,
                   session.api.Call(&v1::EncoderService::Stub::ListEncoders,
                                    v1::ListEncodersRequest()));
  if (session.console.json()) {
    nlohmann::json json = ToJson(server);
    json["address"] = session.api.address();
    json["encoders"] = ToJson(encoders)["encoders"];
    session.console.Json(json);
  } else {
    session.console.out() << StatusText(server, encoders,
                                        session.api.address());
  }
  return absl::OkStatus();
}

}  // namespace

void AddStatusVerb(CLI::App& app, Action* chosen) {
  CLI::App* status = app.add_subcommand(
      "status", "Server, workers, encoders, jobs and limits on one screen");
  status->footer(
      "Examples:\n  promptctl status\n  promptctl -s gpu:7080 "
      "status -o json");
  status->callback([chosen] { *chosen = Status; });
}

CLI::App* AddNoun(CLI::App& app, const std::string& name,
                  const std::string& description) {
  CLI::App* noun = app.add_subcommand(name, description);
  noun->require_subcommand(1);
  return noun;
}

}  // namespace promptd::client
