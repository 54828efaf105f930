// promptctl gc
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/proto_json.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/storage.grpc.pb.h"

namespace promptd::client {
namespace {

struct GcFlags {
  bool dry_run = false;
  std::string grace;
};

absl::StatusOr<v1::CollectGarbageRequest> ToRequest(const GcFlags& flags) {
  v1::CollectGarbageRequest request;
  request.set_dry_run(flags.dry_run);
  if (flags.grace.empty()) return request;
  absl::Duration grace;
  if (!absl::ParseDuration(flags.grace, &grace) ||
      grace < absl::ZeroDuration() || grace > absl::Hours(24 * 3650)) {
    return UsageError(absl::StrCat("--grace \"", flags.grace,
                                   "\" is no length of time: write e.g. 24h"));
  }
  request.mutable_grace()->set_seconds(absl::ToInt64Seconds(grace));
  return request;
}

std::string ReportText(const v1::CollectGarbageResponse& reply, bool dry_run) {
  Table table({"BLOBS", "COUNT", "SIZE"});
  const auto add = [&table](const char* name, const v1::BlobCount& count) {
    table.Add({name, absl::StrCat(count.blobs()), Bytes(count.bytes())});
  };
  add("kept", reply.kept());
  add("young", reply.young());
  add(dry_run ? "would be deleted" : "deleted", reply.deleted());
  return table.ToString();
}

absl::Status CollectGarbage(Session& session, const GcFlags& flags) {
  ASSIGN_OR_RETURN(const v1::CollectGarbageRequest request, ToRequest(flags));
  // It may take longer than a usual call.
  const auto context = session.api.StreamContext();
  v1::CollectGarbageResponse reply;
  const grpc::Status status =
      v1::StorageService::Stub(session.api.channel())
          .CollectGarbage(context.get(), request, &reply);
  if (!status.ok()) return session.api.Error(status);
  if (session.console.json()) {
    session.console.Json(ToJson(reply));
  } else {
    session.console.out() << ReportText(reply, flags.dry_run);
  }
  return absl::OkStatus();
}

}  // namespace

void AddGcVerb(CLI::App& app, Action* chosen) {
  CLI::App* gc = app.add_subcommand(
      "gc", "Delete blobs of the server that nothing refers to");
  auto flags = std::make_shared<GcFlags>();
  gc->add_flag("--dry-run", flags->dry_run, "Only count them");
  gc->add_option("--grace", flags->grace,
                 "Leave blobs that were stored or used since (default 24h, at "
                 "least 1h)");
  gc->footer(
      "The server does the same by itself every hour (`promptd "
      "--gc-interval`).\nKept are what versions, datasets, image features in "
      "use and unfinished jobs need,\nand the checkpoints of jobs that failed "
      "or were cancelled within a week.\n\n"
      "Examples:\n  promptctl gc --dry-run\n  promptctl gc --grace 2h");
  gc->callback([chosen, flags] {
    *chosen = [flags](Session& session) {
      return CollectGarbage(session, *flags);
    };
  });
}

}  // namespace promptd::client
