#include "client/train.h"

#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/bundle.h"
#include "client/error_report.h"
#include "client/job_view.h"
#include "client/progress.h"
#include "client/proto_json.h"
#include "client/push.h"
#include "client/text.h"
#include "common/error.h"
#include "common/id.h"
#include "common/status_macros.h"
#include "promptd/v1/encoder.grpc.pb.h"
#include "promptd/v1/training.grpc.pb.h"

namespace promptd::client {
namespace {

constexpr absl::Duration kReconnectFor = absl::Seconds(30);
constexpr absl::Duration kReconnectPause = absl::Milliseconds(250);

bool LooksLikeFolder(const std::string& text) {
  std::error_code ignored;
  return absl::StrContains(text, '/') || text == "." || text == ".." ||
         std::filesystem::is_directory(text, ignored);
}

// Reads one stream to its end and counts what it saw.
grpc::Status ReadEvents(Session& session, int64_t id,
                        const EventObserver& observer, int64_t* sequence) {
  v1::WatchTrainingJobRequest request;
  request.set_id(id);
  request.set_from_sequence(*sequence + 1);
  const auto context = session.api.StreamContext();
  const auto stream = v1::TrainingService::Stub(session.api.channel())
                          .WatchTrainingJob(context.get(), request);
  v1::JobEvent event;
  while (stream->Read(&event)) {
    *sequence = event.sequence();
    observer(event);
  }
  return stream->Finish();
}

std::string ProgressDetail(const v1::JobProgress& progress) {
  std::string out;
  if (progress.phase() == "train" && progress.epochs() == 0) {
    out = absl::StrFormat("step %d/%d", progress.step(), progress.steps());
  } else if (progress.phase() == "train") {
    out = absl::StrFormat("epoch %d/%d  loss %.3f  acc %s", progress.epoch(),
                          progress.epochs(), progress.loss(),
                          Percent(progress.accuracy()));
  } else if (progress.phase() == "encode" && progress.steps() > 0) {
    out = absl::StrFormat("encode %d/%d images", progress.step(),
                          progress.steps());
    // A view of an epoch, in the middle of training.
    if (progress.epoch() > 0) {
      out = absl::StrFormat("epoch %d/%d  %s", progress.epoch(),
                            progress.epochs(), out);
    }
  } else {
    out = progress.phase();
  }
  if (progress.has_eta()) {
    absl::StrAppend(&out, "  ",
                    ShortDuration(absl::Seconds(progress.eta().seconds()) +
                                  absl::Nanoseconds(progress.eta().nanos())),
                    " left");
  }
  return out;
}

}  // namespace

std::optional<int> ViewsOf(const std::string& text) {
  int count = 0;
  if (text == "epochs") return 0;
  if (absl::SimpleAtoi(text, &count) && count > 0) return count;
  return std::nullopt;
}

absl::StatusOr<DatasetArgument> PushIfFolder(Session& session,
                                             const std::string& dataset) {
  if (!LooksLikeFolder(dataset)) {
    return DatasetArgument{dataset, IsBundledTask(dataset)};
  }
  ASSIGN_OR_RETURN(const PushOutcome pushed, PushFolder(session, dataset, ""));
  return DatasetArgument{pushed.dataset.name(), IsBundledFolder(dataset)};
}

v1::TrainingSpec SpecOf(const TrainOptions& options) {
  v1::TrainingSpec spec;
  spec.set_task(options.task.empty() ? options.dataset : options.task);
  spec.set_dataset(options.dataset);
  spec.set_encoder(options.encoder);
  spec.set_method(options.method);
  spec.set_context_init(options.init);
  if (options.shots) spec.set_shots(*options.shots);
  if (options.context_tokens) spec.set_context_tokens(*options.context_tokens);
  spec.set_class_position(
      ToApi<ClassPosition, v1::ClassPosition>(options.class_position));
  spec.set_class_specific(options.class_specific);
  spec.set_class_subset(
      ToApi<ClassSubset, v1::ClassSubset>(options.class_subset));
  if (options.initial_version) {
    SetSelector(*options.initial_version, spec.mutable_initial_version());
  }
  if (options.initial_checkpoint) {
    v1::CheckpointRef& checkpoint = *spec.mutable_initial_checkpoint();
    checkpoint.set_job(options.initial_checkpoint->job);
    checkpoint.set_number(options.initial_checkpoint->number);
  }
  spec.set_initial_context_digest(options.context_digest);
  for (const std::string& name : options.class_names) {
    spec.add_class_names(name);
  }
  if (options.epochs) spec.set_epochs(*options.epochs);
  if (options.views) spec.set_views(*options.views);
  spec.set_selection(ToApi<Selection, v1::Selection>(options.selection));
  if (options.batch_size) spec.set_batch_size(*options.batch_size);
  if (options.learning_rate) spec.set_learning_rate(*options.learning_rate);
  if (options.seed) spec.set_seed(*options.seed);
  for (const std::string& text : options.templates) spec.add_templates(text);
  for (const std::string& text : options.text_templates) {
    spec.add_text_templates(text);
  }
  if (options.inverse_regularization) {
    spec.set_inverse_regularization(*options.inverse_regularization);
  }
  return spec;
}

v1::JobPriority PriorityOf(const std::string& name) {
  if (name == "interactive") return v1::JOB_PRIORITY_INTERACTIVE;
  if (name == "batch") return v1::JOB_PRIORITY_BATCH;
  return name == "normal" ? v1::JOB_PRIORITY_NORMAL
                          : v1::JOB_PRIORITY_UNSPECIFIED;
}

absl::StatusOr<v1::TrainingJob> SubmitJob(Session& session,
                                          TrainOptions options) {
  ASSIGN_OR_RETURN(const DatasetArgument dataset,
                   PushIfFolder(session, options.dataset));
  options.dataset = dataset.name;
  v1::CreateTrainingJobRequest request;
  *request.mutable_spec() = SpecOf(options);
  request.set_request_id(options.request_id.empty() ? NewUuid()
                                                    : options.request_id);
  request.set_priority(PriorityOf(options.priority));
  request.set_fresh(options.fresh);
  request.set_validate_only(options.validate_only);
  const absl::StatusOr<v1::TrainingJob> job =
      session.api.Call(&v1::TrainingService::Stub::CreateTrainingJob, request);
  if (!job.ok()) {
    const bool applies =
        request.spec().has_epochs() && request.spec().epochs() == 0;
    return WithWhat(job.status(),
                    absl::StrCat(applies ? "cannot make a version of \""
                                         : "cannot train \"",
                                 request.spec().task(), "\""));
  }
  if (!dataset.bundled) {
    WarnAboutDemonstration(session, job->spec().encoder());
  }
  return job;
}

absl::StatusOr<v1::TrainingJob> FollowJob(Session& session, int64_t id,
                                          const EventObserver& observer) {
  int64_t sequence = 0;
  absl::Time give_up = session.clock.Now() + kReconnectFor;
  for (;;) {
    const int64_t before = sequence;
    const grpc::Status status = ReadEvents(session, id, observer, &sequence);
    if (status.ok()) break;
    if (sequence > before) give_up = session.clock.Now() + kReconnectFor;
    // A job that was never seen is not worth waiting for.
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || sequence == 0 ||
        session.clock.Now() >= give_up) {
      return session.api.Error(status);
    }
    session.console.Detail("the server went away: waiting for it");
    absl::SleepFor(kReconnectPause);
  }
  v1::GetTrainingJobRequest request;
  request.set_id(id);
  return session.api.Call(&v1::TrainingService::Stub::GetTrainingJob, request);
}

absl::StatusOr<v1::TrainingJob> FollowJobWithProgress(Session& session,
                                                      int64_t id) {
  const std::string label = absl::StrCat("job ", id);
  Console& console = session.console;
  Progress progress(console, session.clock);
  return FollowJob(session, id, [&](const v1::JobEvent& event) {
    if (event.has_progress()) {
      progress.Update(label, event.progress().fraction(),
                      ProgressDetail(event.progress()));
    }
    if (!event.message().empty() && console.options().verbose) {
      progress.Finish();
      console.Detail(absl::StrCat(label, "    ", Printable(event.message())));
    }
  });
}

void PrintSubmitted(Session& session, const v1::TrainingJob& job) {
  if (session.console.json()) {
    session.console.Json(ToJson(job));
    return;
  }
  session.console.out() << JobTable({job}, session.clock.Now());
  session.console.Note(absl::StrCat("next     promptctl job watch ", job.id()));
}

void PrintFinished(Session& session, const v1::TrainingJob& job) {
  if (session.console.json()) {
    session.console.Json(ToJson(job));
    return;
  }
  if (job.state() != v1::JOB_STATE_SUCCEEDED) return;
  const std::string& task = job.spec().task();
  session.console.out() << FinishedLine(job, session.clock.Now()) << "\n";
  session.console.Note(absl::StrCat(
      "next     promptctl classify photo.jpg --task ", task,
      "\n         promptctl alias set ", task, " production ", job.version()));
}

absl::Status ApplyContext(Session& session, TrainOptions options) {
  options.epochs = 0;
  ASSIGN_OR_RETURN(v1::TrainingJob job, SubmitJob(session, std::move(options)));
  const OnInterrupt hint = SayThatJobGoesOn(session.console, job.id());
  ASSIGN_OR_RETURN(job, FollowJobWithProgress(session, job.id()));
  PrintFinished(session, job);
  return JobOutcome(job);
}

OnInterrupt SayThatJobGoesOn(Console& console, int64_t id) {
  return OnInterrupt([&console, id] {
    console.err() << "\njob " << id << " goes on without you: follow it with "
                  << "`promptctl job watch " << id << "`, stop it with "
                  << "`promptctl job cancel " << id << "`" << std::endl;
  });
}

absl::Status JobOutcome(const v1::TrainingJob& job) {
  const std::string what =
      absl::StrCat("job ", job.id(), " of \"", TaskOf(job), "\"");
  if (job.state() == v1::JOB_STATE_FAILED) {
    return WithWhat(MakeError(absl::StatusCode::kAborted,
                              job.error_reason().empty() ? "JOB_FAILED"
                                                         : job.error_reason(),
                              job.error_message()),
                    absl::StrCat(what, " failed"));
  }
  if (job.state() == v1::JOB_STATE_CANCELLED) {
    return MakeError(absl::StatusCode::kCancelled, "JOB_CANCELLED",
                     absl::StrCat(what, " was cancelled"));
  }
  return absl::OkStatus();
}

void WarnAboutDemonstration(Session& session, const std::string& encoder) {
  v1::GetEncoderRequest request;
  request.set_name(encoder);
  const absl::StatusOr<v1::Encoder> found =
      session.api.Call(&v1::EncoderService::Stub::GetEncoder, request);
  // Only a hint: when it cannot be had, the job is none the worse.
  if (!found.ok() || !found->demonstration()) return;
  session.console.Warn(absl::StrCat(
      "\"", Printable(encoder),
      "\" is promptd's small demonstration encoder: expect little of it on "
      "your own images. For real work put a CLIP encoder folder on the "
      "server's disk and start it with `promptd --encoder DIR`."));
}

}  // namespace promptd::client
