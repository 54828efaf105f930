// promptctl encoder verify
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/error_report.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/verbs.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "promptd/v1/encoder.grpc.pb.h"

namespace promptd::client {
namespace {

std::string FilesText(const v1::VerifyEncoderResponse& reply) {
  if (reply.files_unchanged()) return "unchanged";
  if (reply.digest_on_disk().empty()) return "CANNOT BE READ";
  return absl::StrCat("CHANGED, they have the digest ", reply.digest_on_disk());
}

std::string Text(const v1::VerifyEncoderResponse& reply) {
  Table table({"SUBJECT", "VECTORS", "DEVIATION", "ALLOWED", "COSINE",
               "REQUIRED", "RESULT"});
  for (const v1::SelfTestCheck& check : reply.checks()) {
    table.Add({check.subject(), absl::StrCat(check.vectors()),
               absl::StrFormat("%.1e", check.deviation()),
               absl::StrFormat("%.1e", check.allowed_deviation()),
               absl::StrFormat("%.6f", check.cosine()),
               absl::StrFormat("%.6f", check.required_cosine()),
               check.passed() ? "passed" : "FAILED"});
  }
  return absl::StrCat(
      KeyValues({{"encoder", reply.encoder().name()},
                 {"digest", reply.encoder().digest()},
                 {"golden vectors", reply.origin()}}),
      table.ToString(),
      KeyValues({{"files on disk", FilesText(reply)},
                 {"verdict", reply.passed() ? "passed" : "FAILED"}}));
}

absl::Status Failure(const v1::VerifyEncoderResponse& reply) {
  absl::Status failure = MakeError(
      absl::StatusCode::kDataLoss, "ENCODER_VERIFY_FAILED",
      absl::StrCat("encoder \"", reply.encoder().name(),
                   "\" is not what it was: import it again and start promptd "
                   "anew; if its vectors still fail, suspect memory and "
                   "processor"));
  for (const v1::SelfTestCheck& check : reply.checks()) {
    if (check.passed()) continue;
    failure = WithWhy(failure, absl::StrCat("its ", check.subject(),
                                            " are not the golden ones"));
  }
  if (!reply.files_unchanged()) {
    failure = WithWhy(failure, reply.digest_on_disk().empty()
                                   ? "its files cannot be read any more"
                                   : "its files changed since it was loaded");
  }
  return failure;
}

absl::Status Verify(Session& session, const std::string& name) {
  v1::VerifyEncoderRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(
      const v1::VerifyEncoderResponse reply,
      session.api.Call(&v1::EncoderService::Stub::VerifyEncoder, request));
  if (session.console.json()) {
    session.console.Json(ToJson(reply));
  } else {
    session.console.out() << Text(reply);
  }
  return reply.passed() ? absl::OkStatus() : Failure(reply);
}

}  // namespace

void AddEncoderVerify(CLI::App* noun, Action* chosen) {
  CLI::App* verb = noun->add_subcommand(
      "verify", "Whether an encoder still computes what it did");
  auto name = std::make_shared<std::string>();
  verb->add_option("name", *name,
                   "The encoder's name; the server's default without it");
  verb->footer(
      "Compares with golden vectors, and reads the files again: exit status 1\n"
      "when either differs. Large files take longer: --timeout 5m.\n"
      "Example:\n  promptctl encoder verify embedded");
  verb->callback([chosen, name] {
    *chosen = [name](Session& session) { return Verify(session, *name); };
  });
}

}  // namespace promptd::client
