#include "client/job_view.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/table.h"
#include "client/text.h"
#include "common/method_traits.h"

namespace promptd::client {
namespace {

bool IsEvaluation(const v1::TrainingJob& job) {
  return job.kind() == v1::JOB_KIND_EVALUATE;
}

// What a finished job is about: "pets:3", or "pets:3 on sketches".
std::string Subject(const v1::TrainingJob& job) {
  return absl::StrCat(
      TaskOf(job), ":", job.version(),
      IsEvaluation(job) ? absl::StrCat(" on ", job.evaluation_spec().dataset())
                        : "");
}

std::string Note(const v1::TrainingJob& job) {
  if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    return absl::StrCat(Subject(job), "  ", ResultText(job.result()));
  }
  if (job.state() == v1::JOB_STATE_FAILED) return job.error_message();
  if (job.done()) return "";
  if (job.cancel_requested()) return "cancel requested";
  if (job.pause_requested()) return "pause requested";
  return job.waiting_for();
}

std::string Started(const v1::TrainingJob& job, absl::Time now) {
  return job.has_start_time() ? Ago(ToTime(job.start_time()), now) : "-";
}

// Of a training's or an evaluation's specification.
template <typename Spec>
std::string DatasetText(const Spec& spec) {
  const char* subset =
      spec.class_subset() == v1::CLASS_SUBSET_BASE  ? ", base classes"
      : spec.class_subset() == v1::CLASS_SUBSET_NEW ? ", new classes"
                                                    : "";
  return absl::StrCat(spec.dataset(), "  ", ShortDigest(spec.dataset_digest()),
                      subset);
}

std::string TrainingDatasetText(const v1::TrainingSpec& spec) {
  if (!spec.dataset().empty()) return DatasetText(spec);
  const int classes = spec.class_names_size();
  return absl::StrCat("none, ", classes,
                      classes == 1 ? " class listed" : " classes listed");
}

// "16 tokens, random, name at the end"
std::string ContextText(const v1::TrainingSpec& spec) {
  std::string start = "random";
  if (spec.has_initial_version()) {
    start = absl::StrCat("from ", spec.initial_version().task(), ":",
                         spec.initial_version().version());
  } else if (spec.has_initial_checkpoint()) {
    start = absl::StrCat("from checkpoint ", spec.initial_checkpoint().number(),
                         " of job ", spec.initial_checkpoint().job());
  } else if (!spec.initial_context_digest().empty()) {
    start = absl::StrCat("from a file  ",
                         ShortDigest(spec.initial_context_digest()));
  } else if (!spec.context_init().empty()) {
    start = absl::StrCat("from \"", spec.context_init(), "\"");
  }
  const char* place =
      spec.class_position() == v1::CLASS_POSITION_MIDDLE  ? "name in the middle"
      : spec.class_position() == v1::CLASS_POSITION_FRONT ? "name in front"
                                                          : "name at the end";
  return absl::StrCat(
      spec.context_tokens(),
      spec.class_specific() ? " tokens for each class, " : " tokens, ", start,
      ", ", place);
}

std::vector<std::pair<std::string, std::string>> EvaluationPairs(
    const v1::EvaluationSpec& spec) {
  return {{"scores",
           absl::StrCat(spec.version().task(), ":", spec.version().version())},
          {"dataset", DatasetText(spec)},
          {"split", spec.split()},
          {"encoder", absl::StrCat(spec.encoder(), "  ",
                                   ShortDigest(spec.encoder_digest()))}};
}

std::string ViewsText(const v1::TrainingSpec& spec) {
  if (!spec.has_views() || spec.views() == 1) return "1, as classified";
  return spec.views() == 0
             ? "a fresh random crop each epoch"
             : absl::StrCat(spec.views(), " random crops in turn");
}

std::string EpochsText(const v1::TrainingSpec& spec) {
  if (spec.epochs() == 0) return "0, the context as it is";
  return absl::StrCat(spec.epochs(), ", batch ", spec.batch_size(),
                      ", warm-up ", spec.warmup_epochs());
}

std::string TemplatesText(const v1::TrainingSpec& spec) {
  const std::string first = absl::StrCat("\"", spec.text_templates(0), "\"");
  const int more = spec.text_templates_size() - 1;
  return more == 0 ? first : absl::StrCat(first, " and ", more, " more");
}

void AddSteps(const v1::TrainingSpec& spec,
              std::vector<std::pair<std::string, std::string>>* pairs) {
  pairs->emplace_back("epochs", EpochsText(spec));
  pairs->emplace_back("views", ViewsText(spec));
  pairs->emplace_back("selection",
                      spec.selection() == v1::SELECTION_BEST_VALIDATION
                          ? "best epoch on validation images"
                          : "last step");
  pairs->emplace_back(
      "optimizer",
      absl::StrFormat("sgd, lr %.6g, momentum %.3g, weight decay %.3g",
                      spec.learning_rate(), spec.momentum(),
                      spec.weight_decay()));
}

}  // namespace

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

std::string StateText(v1::JobState state) {
  const std::string& full = v1::JobState_Name(state);
  absl::string_view name(full);
  absl::ConsumePrefix(&name, "JOB_STATE_");
  return absl::AsciiStrToLower(name);
}

const std::string& TaskOf(const v1::TrainingJob& job) {
  return IsEvaluation(job) ? job.evaluation_spec().version().task()
                           : job.spec().task();
}

std::string ProgressText(const v1::TrainingJob& job) {
  const v1::JobProgress& progress = job.progress();
  if (progress.epochs() > 0) {
    return absl::StrFormat("epoch %d/%d", progress.epoch(), progress.epochs());
  }
  return progress.phase().empty() ? "-" : progress.phase();
}

absl::Duration RunTime(const v1::TrainingJob& job, absl::Time now) {
  if (!job.has_start_time()) return absl::ZeroDuration();
  const absl::Time end = job.has_end_time() ? ToTime(job.end_time()) : now;
  return end - ToTime(job.start_time());
}

std::string ResultText(const v1::Evaluation& evaluation) {
  if (evaluation.split().empty()) return "not evaluated";
  std::string out = absl::StrCat(
      evaluation.split(), " ", Percent(evaluation.accuracy()), " (zero-shot ",
      Percent(evaluation.zero_shot_accuracy()), ", ",
      Points(evaluation.accuracy() - evaluation.zero_shot_accuracy()), ")");
  if (evaluation.has_selected_epoch()) {
    absl::StrAppend(&out, ", epoch ", evaluation.selected_epoch(), " (val ",
                    Percent(evaluation.validation_accuracy()), ")");
  }
  if (evaluation.has_inverse_regularization()) {
    absl::StrAppendFormat(&out, ", C %.3g (val %s)",
                          evaluation.inverse_regularization(),
                          Percent(evaluation.validation_accuracy()));
  }
  return out;
}

std::string EventLine(const v1::JobEvent& event) {
  std::string line =
      absl::StrCat(event.sequence(), "  ",
                   absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", ToTime(event.time()),
                                    absl::UTCTimeZone()),
                   "  ", StateText(event.state()));
  if (event.has_progress()) {
    const v1::JobProgress& progress = event.progress();
    if (progress.phase() == "train" && progress.epochs() > 0) {
      absl::StrAppendFormat(&line, "  epoch %d/%d  loss %.3f  acc %s",
                            progress.epoch(), progress.epochs(),
                            progress.loss(), Percent(progress.accuracy()));
    } else if (progress.steps() > 0) {
      absl::StrAppendFormat(&line, "  %s %d/%d", Printable(progress.phase()),
                            progress.step(), progress.steps());
    } else {
      absl::StrAppend(&line, "  ", Printable(progress.phase()));
    }
  }
  if (!event.message().empty()) {
    absl::StrAppend(&line, "  ", Printable(event.message()));
  }
  return line;
}

std::string JobTable(const std::vector<v1::TrainingJob>& jobs, absl::Time now) {
  Table table({"ID", "TASK", "STATE", "PROGRESS", "TRY", "STARTED", "NOTE"});
  for (const v1::TrainingJob& job : jobs) {
    table.Add({absl::StrCat(job.id()), TaskOf(job), StateText(job.state()),
               ProgressText(job), absl::StrCat(job.attempt()),
               Started(job, now), Note(job)});
  }
  return table.ToString();
}

std::string CheckpointTable(const v1::ListCheckpointsResponse& reply,
                            absl::Time now) {
  Table table({"NUMBER", "EPOCH", "STEP", "SAVED", "DIGEST"});
  for (const v1::Checkpoint& checkpoint : reply.checkpoints()) {
    table.Add({absl::StrCat(checkpoint.number()),
               absl::StrCat(checkpoint.epoch()),
               absl::StrCat(checkpoint.step()),
               Ago(ToTime(checkpoint.created()), now),
               ShortDigest(checkpoint.digest())});
  }
  return table.ToString();
}

std::vector<std::pair<std::string, std::string>> SpecPairs(
    const v1::TrainingSpec& spec) {
  std::vector<std::pair<std::string, std::string>> pairs = {
      {"dataset", TrainingDatasetText(spec)},
      {"encoder",
       absl::StrCat(spec.encoder(), "  ", ShortDigest(spec.encoder_digest()))},
      {"method", spec.method()}};
  if (spec.has_shots()) {
    pairs.emplace_back("shots", absl::StrCat(spec.shots()));
  }
  if (spec.text_templates_size() > 0) {
    pairs.emplace_back("texts", TemplatesText(spec));
  }
  const MethodTraits* const method = FindMethod(spec.method());
  // Of a later promptd: it has what its answer has.
  if (method == nullptr || method->context) {
    pairs.emplace_back("context", ContextText(spec));
  }
  if (method == nullptr || method->steps) AddSteps(spec, &pairs);
  if (method != nullptr && method->regularized) {
    pairs.emplace_back("C", spec.has_inverse_regularization()
                                ? absl::StrCat(spec.inverse_regularization())
                                : "chosen on validation images");
  }
  if (spec.has_seed()) pairs.emplace_back("seed", absl::StrCat(spec.seed()));
  return pairs;
}

std::string JobText(const v1::TrainingJob& job, absl::Time now) {
  std::vector<std::pair<std::string, std::string>> pairs = {
      {"job", absl::StrCat(job.id())},
      {"task", TaskOf(job)},
      {"state", StateText(job.state())},
      {"progress", ProgressText(job)},
      {"attempt", absl::StrCat(job.attempt())},
      {"started", Started(job, now)},
      {"run time", ShortDuration(RunTime(job, now))}};
  for (auto& pair : IsEvaluation(job) ? EvaluationPairs(job.evaluation_spec())
                                      : SpecPairs(job.spec())) {
    pairs.push_back(std::move(pair));
  }
  if (!job.waiting_for().empty()) {
    pairs.emplace_back("waiting", job.waiting_for());
  }
  if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    pairs.emplace_back(IsEvaluation(job) ? "scored" : "version", Subject(job));
    pairs.emplace_back("result", ResultText(job.result()));
  }
  if (job.state() == v1::JOB_STATE_FAILED) {
    pairs.emplace_back(
        "error", absl::StrCat(job.error_message(), "  ", job.error_reason()));
  }
  std::string out = KeyValues(pairs);
  if (job.has_result()) absl::StrAppend(&out, EvaluationText(job.result()));
  return out;
}

std::string FinishedLine(const v1::TrainingJob& job, absl::Time now) {
  return absl::StrCat("done     ", Printable(Subject(job)), "   ",
                      ResultText(job.result()), "   ",
                      ShortDuration(RunTime(job, now)));
}

std::string EvaluationText(const v1::Evaluation& evaluation) {
  if (evaluation.split().empty()) return "";
  std::string out = absl::StrFormat(
      "\n%s, %d images: accuracy %s, macro-F1 %s, calibration error %s\n",
      Printable(evaluation.split()), evaluation.images(),
      Percent(evaluation.accuracy()), Percent(evaluation.macro_f1()),
      Percent(evaluation.ece()));
  if (evaluation.has_temperature()) {
    absl::StrAppendFormat(&out,
                          "calibrated on validation images: temperature %.3g, "
                          "without it the error would be %s\n",
                          evaluation.temperature(),
                          Percent(evaluation.uncalibrated_ece()));
  }
  if (!evaluation.zero_shot_template().empty()) {
    absl::StrAppendFormat(
        &out,
        "zero-shot \"%s\": accuracy %s, macro-F1 %s, calibration error %s\n",
        Printable(evaluation.zero_shot_template()),
        Percent(evaluation.zero_shot_accuracy()),
        Percent(evaluation.zero_shot_macro_f1()),
        Percent(evaluation.zero_shot_ece()));
  }
  if (evaluation.classes_size() > 0) {
    Table table({"CLASS", "IMAGES", "LEARNED", "ZERO-SHOT"});
    for (const auto& entry : evaluation.classes()) {
      table.Add({entry.class_name(), absl::StrCat(entry.images()),
                 Percent(entry.accuracy()),
                 Percent(entry.zero_shot_accuracy())});
    }
    absl::StrAppend(&out, "\n", table.ToString());
  }
  if (evaluation.templates_size() > 0) {
    Table table({"ZERO-SHOT TEMPLATE", "ACCURACY"});
    for (const auto& entry : evaluation.templates()) {
      table.Add({entry.template_(), Percent(entry.accuracy())});
    }
    absl::StrAppend(&out, "\n", table.ToString());
  }
  return out;
}

}  // namespace promptd::client
